"""How far a problem's data were read, and which of them a night has learned from: two small files beside the tables."""

from datetime import date, timedelta

from ml.context import Context
from ml.window import Window

THROUGH, LEARNED = "tables/through.json", "tables/learned.json"


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


def learned_version(context: Context) -> int:
    """The version of `raw` that the last verdict of a real night was about, -1 before the first."""
    return int(context.store.read_json(LEARNED)["raw_version"]) if context.store.exists(LEARNED) else -1


def mark_learned(context: Context, raw_version: int) -> None:
    """A verdict was given; the next night may be skipped when the rows are still the same. Dry runs mark nothing."""
    if not context.dry_run:
        context.store.write_json(LEARNED, {"raw_version": raw_version, "run_key": context.run_key})
