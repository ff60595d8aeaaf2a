"""Which rows of a piece of a file a night may see, and as what; pure."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ml.errors import DataError
from ml.source.chunk import Chunk, View
from ml.source.common import ARROW, refuse_missing
from ml.source.newest import ORDER
from ml.source.typed import UnfitError, deleted, order, typed
from ml.tables import DAY

DELETED = "_deleted"  # column that says whether a row is marked so


@dataclass(frozen=True)
class Seen:
    """Rows that are seen, with their day, mark and order; how many are not, how many no night could place, and how many of
    earlier days became known since the last time.
    """

    rows: pa.RecordBatch
    num_outside: int
    num_timeless: int
    num_late: int
    first_late: datetime | None


def seen(chunk: Chunk, view: View, name: str) -> Seen:
    """The rows of a piece that lie in the span and were known, typed.

    A row's moment is its event time; without one, when it became known, so that validation meets it.
    Args:
        name: of the file.
    Raises: DataError: a value is not what its column should hold; says where it stands.
    """
    refuse_missing(name, view.times, chunk.columns)
    times = {column: _typed(chunk, column, view, name) for column in view.times}
    moment = pc.coalesce(*times.values())
    inside = pc.and_(pc.greater_equal(moment, _scalar(view.span[0])), pc.less(moment, _scalar(view.span[1])))
    if (available := times.get(view.source.available_at or "")) is not None:
        inside = pc.and_(inside, pc.or_kleene(pc.is_null(available), pc.less_equal(available, _scalar(view.now))))
    places = np.flatnonzero(pc.fill_null(inside, False).to_numpy(zero_copy_only=False))
    counts = (len(moment) - len(places) - moment.null_count, moment.null_count, *_late(times, view))
    if not len(places):  # a file that has only rows of other days may lack a column that came later
        return Seen(pa.RecordBatch.from_pydict({}), *counts)
    refuse_missing(name, view.kinds, chunk.columns)
    taken = pa.array(places)
    part = Chunk(chunk.rows.take(taken), chunk.columns, chunk.numbers[places], chunk.unit)
    local = pc.local_timestamp(moment.take(taken).cast(pa.timestamp("us", view.source.timezone)))
    rows = {column: _typed(part, column, view, name) for column in view.wanted}
    rows |= _labels(rows, view) | {
        DAY: local.cast(pa.date32(), safe=False).cast(pa.string()).dictionary_encode(),
        **_marks(part, view, name),
    }
    return Seen(pa.RecordBatch.from_pydict(rows), *counts)


def _late(times: Mapping[str, pa.Array], view: View) -> tuple[int, datetime | None]:
    event, available = times[view.source.event_time], times.get(view.source.available_at or "")
    if view.since is None or available is None:
        return 0, None
    fresh = pc.and_(pc.greater(available, _scalar(view.since)), pc.less_equal(available, _scalar(view.now)))
    late = event.filter(pc.and_(fresh, pc.less(event, _scalar(view.span[0]))))
    return len(late), pc.min(late).as_py()


def _labels(rows: Mapping[str, pa.Array], view: View) -> dict[str, pa.Array]:
    """Label and its time, missing until they were known."""
    at = view.source.label_time
    known = pc.fill_null(pc.less_equal(rows[at], _scalar(view.now)), False)
    return {column: pc.if_else(known, rows[column], pa.scalar(None, rows[column].type)) for column in (*view.source.labels, at)}


def _marks(part: Chunk, view: View, name: str) -> dict[str, pa.Array]:
    """Whether a row is deleted, and a number that orders its versions; without such columns they are all alike."""
    size, zone = part.rows.num_rows, view.source.timezone
    marks = {DELETED: pa.repeat(False, size), ORDER: pa.nulls(size, pa.float64())}
    with _told(part, view.source.deleted, view, name):
        if view.source.deleted:
            marks[DELETED] = deleted(part.rows[view.source.deleted], zone, view.now)
    with _told(part, view.source.updated_at, view, name):
        if view.source.updated_at:
            marks[ORDER] = order(part.rows[view.source.updated_at], zone)
    return marks


def _typed(chunk: Chunk, column: str, view: View, name: str) -> pa.Array:
    with _told(chunk, column, view, name):
        return typed(chunk.rows[column], view.wanted[column], view.source.timezone)


@contextmanager
def _told(chunk: Chunk, column: str | None, view: View, name: str) -> Iterator[None]:
    try:
        yield
    except UnfitError as error:
        where = f"{chunk.unit.capitalize()} {chunk.numbers[error.position]} of {name}"
        told = error.told(hidden=column in view.hidden)
        raise DataError(f"{where}: {column} {told}. Mend the file, or the type in the problem file.") from error


def _scalar(moment: datetime) -> pa.Scalar:
    return pa.scalar(moment, ARROW["datetime"])
