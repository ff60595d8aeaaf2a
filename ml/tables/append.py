"""Rows that are added to days that others add to at the same time."""

from collections.abc import Mapping
from datetime import date, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from ml.errors import TransientError
from ml.tables.columns import DAY
from ml.tables.commit import OvertakenError
from ml.tables.table import Table
from ml.window import Window

NEVER = Window(date(1, 1, 1), date(1, 1, 2))  # no rows are of that day
ATTEMPTS = 20


def append(table: Table, rows: pa.Table, note: Mapping[str, str], *, once: str | None = None) -> int:
    """Add rows to their days; what others add at the same time stays.

    Args:
        once: column whose value stands at most once in a day: a row with one that is there, or came before, is left out.
    Returns: how many rows were added.
    Raises: TransientError: others add without end.
    """
    if not rows.num_rows:
        return 0
    if not table.exists:
        table.replace(NEVER, rows.slice(0, 0))
    days = pc.min_max(rows[DAY]).as_py()
    window = Window(date.fromisoformat(days["min"]), date.fromisoformat(days["max"]) + timedelta(days=1))
    for _ in range(ATTEMPTS):
        version = table.version
        held = table.read(window, version=version)
        new = rows if once is None else _new(rows, once, held[once])
        if not new.num_rows:
            return 0
        both = pa.concat_tables([held, new], promote_options="permissive")
        ready = table.stage(both.to_batches(), both.schema)
        try:
            table.commit(ready, window, note=note, based_on=version)
        except OvertakenError:
            ready.discard()
        else:
            return int(new.num_rows)
    raise TransientError(f"Rows of {table.name} were written by others {ATTEMPTS} times while these were. Try again.")


def _new(rows: pa.Table, column: str, held: pa.ChunkedArray) -> pa.Table:
    """The rows whose value is not held yet, of equal ones the first."""
    numbers = pa.array(range(rows.num_rows), pa.int64())
    first = rows.append_column("_place", numbers).group_by(column).aggregate([("_place", "min")])["_place_min"]
    once = rows.take(first.combine_chunks().sort())
    return once.filter(pc.invert(pc.is_in(once[column], value_set=held.combine_chunks())))
