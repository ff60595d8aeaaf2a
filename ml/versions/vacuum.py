"""Old versions go after `[retention] versions_days`; one that a registered model was made from stays readable."""

import logging
from typing import Final

from ml import past
from ml.context import Context
from ml.records import Vacuumed

log = logging.getLogger(__name__)
ALL: Final = ("raw", "valid", "quarantine", "decisions", "labels")
GRACE_HOURS = 24  # a run that is under way stands on versions of at most yesterday


def vacuum(context: Context, *, dry_run: bool = False, grace_hours: int = GRACE_HOURS) -> Vacuumed:
    """Remove data files that only old, unpinned versions of the tables need.

    Args:
        dry_run: remove nothing, only name them.
        grace_hours: files replaced since then stay, whatever the problem file says.
    Raises: TransientError: MLflow or the store is away; nothing was removed, because nobody knows what models there are.
    """
    tables = {name: context.table(name) for name in ALL if context.table(name).exists}
    pins = past.pinned(context) if tables else {}
    hours = max(24 * context.problem.retention.versions_days, grace_hours)
    files = {
        name: tuple(table.vacuum(keep=pins.get(name, set()), older_than_hours=hours, dry_run=dry_run))
        for name, table in tables.items()
    }
    kept = {name: tuple(sorted(versions)) for name, versions in pins.items() if versions}
    done = Vacuumed(num_files={name: len(gone) for name, gone in files.items()}, files=files, pinned=kept, dry_run=dry_run)
    log.info("vacuum: %s", done.sentence)
    return done
