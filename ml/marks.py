"""How far a problem's data were read, and which of them a night has learned from: small files beside the tables."""

from datetime import date, datetime, timedelta
from typing import Any

from ml.context import Context
from ml.window import Window

THROUGH, LEARNED, READ, BEGUN = "tables/through.json", "tables/learned.json", "tables/read.json", "tables/begun.json"
MOST_BEGUN = 120  # runs that are remembered in their order


def newest_day(context: Context) -> date | None:
    """The day up to which everything was validated without a gap, None before the first night."""
    if not context.store.exists(THROUGH):
        return None
    return date.fromisoformat(context.store.read_json(THROUGH)["end"]) - timedelta(days=1)


def mark_validated(context: Context, window: Window) -> None:
    """Move the frontier; a window that a person or a backfill asked for moves it only where it leaves no gap."""
    newest = newest_day(context)
    if newest is None:
        if context.window is not None:
            return
    elif window.start > newest + timedelta(days=1) or window.end <= newest:
        return
    context.store.write_json(THROUGH, {"end": str(window.end), "run_key": context.run_key})


def learned(context: Context, raw_version: int) -> bool:
    """Whether the last verdict of a real night was about exactly these rows.

    Rows may come into `valid` without a change of `raw`: released from quarantine, or gone by an erasure. Labels that people
    gave meanwhile are new too.
    """
    if not context.store.exists(LEARNED):
        return False
    mark, valid = context.store.read_json(LEARNED), context.table("valid")
    same = mark["raw_version"] == raw_version and mark.get("labels_version") == context.table("labels").newest
    return bool(same and valid.exists and mark.get("valid_version", valid.version) == valid.version)


def mark_learned(context: Context, raw_version: int, valid_version: int, labels_version: int | None = None) -> None:
    """A verdict was given; the next night may be skipped when the rows are still the same. Dry runs mark nothing."""
    if not context.dry_run:
        mark = {"raw_version": raw_version, "valid_version": valid_version, "labels_version": labels_version}
        context.store.write_json(LEARNED, mark | {"run_key": context.run_key})


def last_read(context: Context) -> datetime | None:
    """When a night before this one read the source; None before the first night, and for a run with a window of its own."""
    if context.window is not None or not context.store.exists(READ):
        return None
    mark = context.store.read_json(READ)
    at = mark["before"] if mark["run_key"] == context.run_key else mark["at"]
    return datetime.fromisoformat(at) if at else None


def mark_read(context: Context) -> None:
    """This night has read the source; what becomes known from now on is new to the next."""
    if context.window is None and not context.dry_run:
        before = last_read(context)
        mark = {"at": context.settings.now().isoformat(), "before": before.isoformat() if before else None}
        context.store.write_json(READ, mark | {"run_key": context.run_key})


def mark_begun(context: Context) -> None:
    """Remember the run among the newest, once, so that pages find them in their order without a look at every folder there is.

    Those of a backfill are left out: they run side by side, and none of them is a night.
    """
    held = begun(context)
    if context.reason != "backfill" and context.run_key not in [run["run_key"] for run in held]:
        at = context.settings.now().isoformat()
        about = {"run_key": context.run_key, "at": at, "reason": context.reason, "dry_run": context.dry_run}
        context.store.write_json(BEGUN, [*held, about][-MOST_BEGUN:])


def begun(context: Context) -> list[dict[str, Any]]:
    """The newest runs that have begun, oldest first: run_key, at, reason, dry_run."""
    return list(context.store.read_json(BEGUN)) if context.store.exists(BEGUN) else []
