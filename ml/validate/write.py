"""Rows on their way into `valid` and `quarantine`: staged in constant memory, then let in by one commit each."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ml import privacy
from ml.context import Context
from ml.daily import DayProfiler
from ml.errors import DataError, TransientError
from ml.tables import Staged
from ml.validate.batch import Batch
from ml.validate.engine import Positions
from ml.validate.judge import PIECE_ROWS, Hashes, repeated, row_hashes, take
from ml.validate.split import RULES, Bad, quarantine_schema, separate

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass
class Seen:
    """What is counted while the rows pass by."""

    key: str
    event_time: str
    profiler: DayProfiler
    newest: datetime | None = None
    keys: list[Hashes] = field(default_factory=list)
    num_rows: int = 0

    def add(self, piece: pa.Table) -> None:
        """Take ingested rows in, good and bad."""
        latest = pc.max(piece[self.event_time].cast(pa.timestamp("us", "UTC"))).cast(pa.int64()).as_py()
        if latest is not None:
            moment = EPOCH + timedelta(microseconds=latest)
            self.newest = max(self.newest or moment, moment)
        keys = np.array(row_hashes(piece.select([self.key])))
        nameless = np.flatnonzero(pc.is_null(piece[self.key]))
        keys[nameless] = self.num_rows + nameless  # each another one: rows without a key do not repeat each other
        self.keys.append(keys)
        self.num_rows += piece.num_rows

    def num_twice(self, batch: Batch) -> tuple[int, int]:
        """Rows whose key, and of the first million of these the rows whose whole content, another row has too."""
        rows = repeated(self.keys)
        same = take(batch.read_little, batch.schema.names, rows[:PIECE_ROWS], batch.schema)
        return len(rows), len(repeated([row_hashes(same)])) if len(rows) else 0


@dataclass(frozen=True)
class Ready:
    """Staged rows of both tables, what was seen of them, and which of the two no version names yet."""

    valid: Staged
    aside: Staged
    seen: Seen
    waiting: list[Staged]


@contextmanager
def staged(context: Context, batch: Batch, bad: Bad, profiled: Iterable[date]) -> Iterator[Ready]:
    """Write the rows as files that no version names yet; unless they are committed meanwhile, they go at the end.

    Args:
        profiled: days whose rows, as far as they are good, are profiled on the way.
    Raises: as `Table.stage`; DataError: the rows of the second reading are not as many as those that were judged.
    """
    about = context.problem.source
    seen = Seen(about.key, about.event_time, DayProfiler(context, profiled))
    with_rules = quarantine_schema(batch.schema)
    waiting: list[Staged] = []
    try:
        waiting.append(context.table("quarantine").stage(_bad(batch, bad, context.run_key), with_rules))
        waiting.append(context.table("valid").stage(_good(batch, bad, seen), batch.schema))
        aside, valid = waiting
        _reconcile(batch.num_rows_by_day, valid.num_rows_by_day, aside.num_rows_by_day, DataError)
        yield Ready(valid, aside, seen, waiting)
    except BaseException:
        for one in waiting:
            one.discard()
        raise


def let_in(context: Context, batch: Batch, ready: Ready) -> tuple[int, int]:
    """Commit both tables, `quarantine` first: killed in between, no row is in `valid` that should not be, and a rerun ends equal.

    Returns: versions of `valid` and `quarantine`.
    Raises: TransientError: somebody was erased meanwhile.
    """
    unless = partial(privacy.refuse_if_more, batch.forgotten, context.problem, context.store)
    note = {"run_key": context.run_key, "stage": "validate"}
    aside = context.table("quarantine").commit(ready.aside, batch.window, note=note, unless=unless)
    ready.waiting.remove(ready.aside)
    valid = context.table("valid").commit(ready.valid, batch.window, note=note, unless=unless)
    ready.waiting.remove(ready.valid)
    return valid, aside


def reconcile(context: Context, batch: Batch) -> dict[str, dict[str, int]]:
    """valid + quarantined = ingested, on every day, counted in the tables as they now are.

    Returns: the three counts per day.
    Raises: TransientError: they differ; whoever writes last puts it right.
    """
    valid = context.table("valid").num_rows(batch.window)
    aside = context.table("quarantine").num_rows(batch.window)
    _reconcile(batch.num_rows_by_day, valid, aside, TransientError)
    return {
        day: {"ingested": number, "valid": valid.get(day, 0), "quarantined": aside.get(day, 0)}
        for day, number in batch.num_rows_by_day.items()
    }


def rows_at(batch: Batch, bad: Bad, positions: Positions) -> list[dict[str, object]]:
    """A few of the bad rows, with the rules they broke."""
    if not len(positions):
        return []
    few = take(batch.read_little, batch.schema.names, positions, batch.schema)
    rules = bad.between(0, int(positions[-1]) + 1)[1]
    rows: list[dict[str, object]] = few.append_column(RULES, rules).to_pylist()
    return rows


def _reconcile(ingested: dict[str, int], valid: dict[str, int], aside: dict[str, int], error: type[Exception]) -> None:
    for day in sorted({*ingested, *valid, *aside}):
        if valid.get(day, 0) + aside.get(day, 0) != ingested.get(day, 0):
            raise error(
                f"{day}: {valid.get(day, 0)} valid + {aside.get(day, 0)} quarantined rows are in the tables, but "
                f"{ingested.get(day, 0)} were ingested. Another run may have written the same day; clear this task."
            )


def _bad(batch: Batch, bad: Bad, run_key: str) -> Iterator[pa.RecordBatch]:
    first = 0
    for piece in batch.read_little() if len(bad.rows) else ():
        yield from separate(piece, bad, run_key=run_key, first=first)[1].to_batches()
        first += piece.num_rows


def _good(batch: Batch, bad: Bad, seen: Seen) -> Iterator[pa.RecordBatch]:
    first = 0
    for piece in batch.read_little():
        seen.add(piece)
        valid, _ = separate(piece, bad, run_key="", first=first)
        seen.profiler.add(valid)
        yield from valid.to_batches()
        first += piece.num_rows
