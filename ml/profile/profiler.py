"""Columns counted batch by batch, in constant memory; the same rows in the same order give the same profile."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from ml.profile.accumulator import Accumulator
from ml.profile.columns import ACCUMULATORS, Datetimes
from ml.profile.record import Profile
from ml.profile.sketch import spread

SAMPLE = 16_384  # most rows of the sample; when it is full, every other one goes
DAY_ROWS = 50  # a day with fewer sampled rows tells nothing about a share


class Profiler:
    """One pass over record batches.

    The sample is the rows whose number, hashed, begins with enough zero bits: it does not depend on how rows are cut into
    batches, and no period in the data can fool it.
    """

    def __init__(self, kinds: Mapping[str, str], zone: str, *, event_time: str | None = None, day: str | None = None) -> None:
        """Count the columns of `kinds`: the feature types of a problem file, or "key"; others are left out.

        Args:
            zone: IANA zone of hours and weekdays.
            event_time: the datetime column that others are measured from.
            day: a string column that names a row's day; with it the spread over days is told.
        """
        self._kinds, self._zone, self._event_time, self._day = dict(kinds), zone, event_time, day
        self._days: pa.Array = pa.array([], pa.string())
        self._columns: dict[str, Accumulator] = {}
        self._num_rows = 0
        self._level = 0
        self._ranks = np.zeros(0, np.uint64)

    def add(self, batch: pa.RecordBatch | pa.Table) -> None:
        """Count the rows of a batch; every batch has the same columns."""
        if isinstance(batch, pa.Table):
            for part in batch.to_batches(max_chunksize=65_536):
                self.add(part)
            return
        if not self._columns:
            self._open(batch.schema)
        ranks = spread(np.arange(self._num_rows, self._num_rows + batch.num_rows, dtype=np.uint64))
        taken = np.flatnonzero(self._in_sample(ranks))
        places = pa.array(taken)
        for name, column in self._columns.items():
            values = batch.column(name)
            column.add(values, values.take(places))
        if self._day:
            self._days = pa.concat_arrays([self._days, batch.column(self._day).take(places).cast(pa.string())])
        self._num_rows += batch.num_rows
        self._ranks = np.concatenate([self._ranks, ranks[taken]])
        self._thin()

    def result(self) -> Profile:
        """The profile of everything added; adding may go on."""
        columns = {name: column.result() for name, column in self._columns.items()}
        found = {name: {"gaps": gaps} for name, gaps in self._gaps().items()}
        for name, spread_over_days in self._spreads().items():
            found[name] = found.get(name, {}) | spread_over_days
        columns |= {name: columns[name].model_copy(update=more) for name, more in found.items()}
        return Profile(num_rows=self._num_rows, columns=columns)

    def _open(self, schema: pa.Schema) -> None:
        for name, kind in self._kinds.items():
            if name in schema.names:
                self._columns[name] = ACCUMULATORS[kind](schema.field(name).type, self._zone)

    def _in_sample(self, ranks: np.ndarray) -> Any:
        return ranks < np.uint64(2 ** (64 - self._level) - 1)

    def _thin(self) -> None:
        while len(self._ranks) > SAMPLE:
            self._level += 1
            keep = self._in_sample(self._ranks)
            self._ranks = self._ranks[keep]
            for column in self._columns.values():
                column.thin(pa.array(keep))
            if self._day:
                self._days = self._days.filter(pa.array(keep))

    def _spreads(self) -> dict[str, dict[str, Any]]:
        """Per column its lowest and highest day, of days with enough sampled rows."""
        codes = self._days.dictionary_encode()
        places = codes.indices.to_numpy(zero_copy_only=False)
        days = [np.flatnonzero(places == code) for code in range(len(codes.dictionary))]
        days = [rows for rows in days if len(rows) >= DAY_ROWS]
        return {name: column.spread(days) for name, column in self._columns.items()} if days else {}

    def _gaps(self) -> dict[str, tuple[float, ...]]:
        event = self._columns.get(self._event_time or "")
        if not isinstance(event, Datetimes):
            return {}
        others = {n: c for n, c in self._columns.items() if isinstance(c, Datetimes) and c is not event}
        found = {name: event.minutes_until(column) for name, column in others.items()}
        return {name: gaps for name, gaps in found.items() if gaps is not None}
