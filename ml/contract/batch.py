"""Profiling a window in one pass, its newest days once more by themselves."""

from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ml.contract.record import Batch
from ml.profile import Profiler
from ml.tables import DAY

SPARE = 8  # the newest days may hold this many times the rows that are enough, then they are thinned


class BatchProfiler:
    """A `Profiler` of all rows, and a small copy of the newest rows."""

    def __init__(self, kinds: dict[str, str], zone: str, event_time: str, enough: int) -> None:
        """Args as of `Profiler`; `enough` is how many rows the newest days must have together to be looked at alone."""
        self._kinds, self._zone, self._event_time, self._enough = kinds, zone, event_time, enough
        self._all, self._names = self._new(), [*kinds, DAY]
        self._recent: pa.Table | None = None
        self._from, self._step = "", 1
        self._days: set[str] = set()

    def add(self, batch: pa.RecordBatch) -> None:
        """Count the rows of a batch; it has the declared columns and `_day`."""
        self._all.add(batch)
        days = batch[DAY]
        self._days.update(day for day in pc.unique(days).to_pylist() if day)
        names = np.array([day >= self._from for day in days.dictionary.to_pylist()], bool)
        places = np.flatnonzero(names[days.indices.to_numpy()])[:: self._step]
        rows = batch.select([name for name in self._names if name in batch.schema.names]).take(pa.array(places))
        rows = pa.Table.from_batches([rows])
        self._recent = rows if self._recent is None else pa.concat_tables([self._recent, rows])
        if self._recent.num_rows > SPARE * self._enough:
            self._cut()

    def result(self) -> Batch:
        """The profile of everything added."""
        found = self._all.result()
        if not self._days or self._recent is None:
            return Batch(num_rows=found.num_rows, columns=found.columns)
        self._cut()
        newest = self._new()
        newest.add(self._recent.combine_chunks())
        recent = newest.result()
        return Batch(
            num_rows=found.num_rows,
            columns=found.columns,
            recent=recent if recent.num_rows >= self._enough else None,
            days=tuple(sorted(filter(None, map(_day, self._days)))),
            first_day=_day(min(self._days)),
            recent_day=_day(min(pc.unique(self._recent[DAY]).to_pylist())),
            last_day=_day(max(self._days)),
        )

    def _new(self) -> Profiler:
        return Profiler(self._kinds, self._zone, event_time=self._event_time, day=DAY)

    def _cut(self) -> None:
        """Leave the newest days that have enough rows together; of very full ones every other row, again and again."""
        rows = self._recent
        assert rows is not None  # noqa: S101  # only called once there are some
        counts = sorted(((one["values"], one["counts"]) for one in rows[DAY].value_counts().to_pylist()), reverse=True)
        total = 0
        for day, count in counts:
            total += count
            if total >= self._enough:
                self._from = day
                break
        rows = rows.filter(pc.greater_equal(rows[DAY], self._from)).combine_chunks()
        while rows.num_rows > SPARE * self._enough // 2:
            self._step *= 2
            rows = rows.take(np.arange(0, rows.num_rows, 2))
        self._recent = rows


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None
