"""Days that people took out because their batch was bad: runs prepared from then on learn and judge without them."""

from collections.abc import Iterable, Sequence
from datetime import date, datetime

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict

from ml.context import Context
from ml.ledger import Entry
from ml.tables import DAY

EXCLUDED = "tables/excluded.json"
OUT, IN = "batch_excluded", "batch_included"  # kinds of ledger entries


class Exclusion(BaseModel):
    """Who took a day out, when, and why."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    by: str
    at: datetime
    why: str


def read(context: Context) -> dict[date, Exclusion]:
    """The days that are out, sorted."""
    held = context.store.read_json(EXCLUDED)["days"] if context.store.exists(EXCLUDED) else {}
    return {date.fromisoformat(day): Exclusion.model_validate(about) for day, about in sorted(held.items())}


def days(context: Context) -> tuple[date, ...]:
    """The days that are out, sorted."""
    return tuple(read(context))


def write(context: Context, excluded: dict[date, Exclusion]) -> None:
    """Replace the whole list in one step."""
    content = {str(day): about.model_dump(mode="json") for day, about in sorted(excluded.items())}
    context.store.write_json(EXCLUDED, {"days": content})


def without(rows: pa.Table, excluded: Iterable[date]) -> pa.Table:
    """The rows of all other days."""
    out = pa.array([str(day) for day in excluded], pa.string())
    return rows.filter(pc.invert(pc.is_in(rows[DAY].cast(pa.string()), out))) if len(out) else rows


def tainted(entries: Sequence[Entry], run_key: str) -> dict[str, str]:
    """Excluded days that a run froze before they were taken out, each with the reason; a day that is back is no matter.

    Args:
        entries: the problem's ledger, oldest first; it names the runs that a bad batch touched.
    """
    out: dict[str, str] = {}
    for entry in entries:
        if entry.kind == OUT:
            out |= dict.fromkeys(entry.body["runs"].get(run_key, ()), entry.body["why"])
        elif entry.kind == IN:
            out = {day: why for day, why in out.items() if day not in entry.body["days"]}
    return out
