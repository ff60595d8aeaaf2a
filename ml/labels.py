"""Labels of keys, as far as they were known at a moment."""

from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ml import exclusions, targets
from ml.context import Context
from ml.tables import DAY
from ml.window import Window

Floats = npt.NDArray[np.float64]


def known_labels(
    context: Context, keys: pa.Array, start: datetime, moment: datetime, *, version: int | None = None
) -> dict[str, Floats]:
    """Labels of some keys, as numbers, as known at a moment, in the order in which they became known.

    Where a key stands twice the label that came last counts. Labels of days that people took out are none. Looks at events
    from `history_days` before `start` on: a request about an older event is taken as without label.
    """
    source, table = context.problem.source, context.table("valid")
    newest = table.newest_day()
    earliest = (start - timedelta(days=source.history_days)).date()
    if newest is None or newest < earliest:
        return {}
    columns = [source.key, *source.labels, source.label_time, DAY]
    held = table.read(Window(earliest, newest + timedelta(days=1)), columns=columns, version=version)
    rows = exclusions.without(held, exclusions.days(context))
    key, time = rows[source.key].cast(pa.string()), _instants(rows[source.label_time], source.timezone)
    late = pc.fill_null(pc.greater(time, pa.scalar(moment, pa.timestamp("us", "UTC"))), False)
    wanted = pc.and_(targets.known(rows, context.problem), pc.and_not(pc.is_in(key, keys), late))
    found = pa.table({"key": key, "label": targets.column(rows, context.problem), "time": time})
    found = found.filter(wanted).sort_by([("time", "ascending")])
    return dict(zip(found["key"].to_pylist(), targets.targets(found["label"], context.problem), strict=True))


def _instants(column: pa.ChunkedArray, zone: str) -> pa.ChunkedArray:
    """Moments in UTC; a time without zone is local to the problem."""
    if pa.types.is_timestamp(column.type) and column.type.tz is None:
        column = pc.assume_timezone(column, zone, ambiguous="latest", nonexistent="latest")
    return column.cast(pa.timestamp("us", "UTC"))
