"""What COPY brought, as rows of the schema, each with its day."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ml.errors import DataError
from ml.problem import Problem
from ml.source.common import ARROW, schema_of
from ml.source.query import DELETED
from ml.source.typed import outside_the_calendar
from ml.tables import DAY
from ml.window import Window


@dataclass(frozen=True)
class Piece:
    """Rows that came over, and how many more were marked as deleted, or have no time that would give them a day."""

    rows: pa.RecordBatch
    num_deleted: int
    num_timeless: int


class Pieces:
    """Turns what PostgreSQL sent into record batches of `schema`; keeps no state, so threads may share it."""

    def __init__(self, problem: Problem, wanted: Mapping[str, str], window: Window) -> None:
        self.schema = schema_of(dict(wanted))
        self._source, self._hides_keys = problem.source, problem.source.key in problem.privacy.redact
        self._times = [name for name in (problem.source.event_time, problem.source.available_at) if name]
        self._moments = [name for name, kind in wanted.items() if kind == "datetime"]
        self._days = pa.array([str(day) for day in window])
        starts = [Window.parse(str(day)).instants(problem.source.timezone)[0] for day in window]
        self._starts = pa.array(starts, ARROW["datetime"]).cast(pa.int64()).to_numpy()

    def piece(self, rows: pa.RecordBatch) -> Piece:
        """Rows of the query's columns.

        Raises: DataError: a time that no calendar has, such as infinity.
        """
        for name in self._moments:
            self._refuse_endless(name, rows)
        num_rows = rows.num_rows
        if DELETED in rows.schema.names:
            rows = rows.filter(pc.invert(rows[DELETED]))
        num_deleted = num_rows - rows.num_rows
        moments = pc.coalesce(*(rows[name] for name in self._times))
        num_timeless = moments.null_count
        if num_timeless:
            rows, moments = rows.filter(moments.is_valid()), moments.drop_null()
        columns = [rows[name] for name in self.schema.names if name != DAY]
        return Piece(pa.RecordBatch.from_arrays([*columns, self._day(moments)], schema=self.schema), num_deleted, num_timeless)

    def _refuse_endless(self, name: str, rows: pa.RecordBatch) -> None:
        outside = outside_the_calendar(rows[name])
        if outside is not None:
            key = self._source.key
            where = "" if self._hides_keys else f", in the row with {key} {rows[key][outside].as_py()!r}"
            raise DataError(
                f"Column {name!r} of table {self._source.table} holds a time outside the years 1 to 9999 (infinity is one)"
                f"{where}. Correct it at the source; a time that is not known is NULL."
            )

    def _day(self, moments: pa.Array) -> pa.Array:
        """The day of each moment in the problem's zone; days of 23 and 25 hours are as long as they are."""
        micros = moments.cast(pa.int64()).to_numpy()
        places = np.searchsorted(self._starts, micros, side="right") - 1
        return pa.DictionaryArray.from_arrays(pa.array(places, pa.int32()), self._days)
