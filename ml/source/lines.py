"""What COPY sends, as Arrow: CSV of whole rows, where an unquoted empty cell is NULL and a quoted one is ''."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from ml.errors import DataError
from ml.problem import Problem
from ml.source.common import ARROW, schema_of
from ml.source.query import DELETED
from ml.tables import DAY
from ml.window import Window

AT_FAULT = re.compile(r"In CSV column #(\d+): (.*)", re.DOTALL)


@dataclass(frozen=True)
class Piece:
    """Rows that came over, and how many more were marked as deleted, or have no time that would give them a day."""

    rows: pa.RecordBatch
    num_deleted: int
    num_timeless: int


class Lines:
    """Turns CSV into record batches of `schema`; keeps no state, so threads may share it."""

    def __init__(self, problem: Problem, wanted: Mapping[str, str], names: Sequence[str], window: Window) -> None:
        self.schema = schema_of(dict(wanted))
        self._source, self._names = problem.source, list(names)
        self._times = [name for name in (problem.source.event_time, problem.source.available_at) if name]
        self._types = {name: ARROW[kind] for name, kind in wanted.items()} | {DELETED: pa.bool_()}
        self._days = pa.array([str(day) for day in window])
        starts = [Window.parse(str(day)).instants(problem.source.timezone)[0] for day in window]
        self._starts = pa.array(starts, ARROW["datetime"]).cast(pa.int64()).to_numpy()

    def piece(self, block: bytes | memoryview) -> Piece:
        """The rows of some whole lines.

        Raises: DataError: a value that its column cannot hold here, such as a time in the year 200000.
        """
        rows = self._parse(block)
        num_rows = rows.num_rows
        if DELETED in self._names:
            rows = rows.filter(pc.invert(rows[DELETED]))
        num_deleted = num_rows - rows.num_rows
        moments = pc.coalesce(*(rows[name] for name in self._times))
        num_timeless = moments.null_count
        if num_timeless:
            rows, moments = rows.filter(moments.is_valid()), moments.drop_null()
        columns = [rows[name] for name in self.schema.names if name != DAY]
        return Piece(pa.RecordBatch.from_arrays([*columns, self._day(moments)], schema=self.schema), num_deleted, num_timeless)

    def _parse(self, block: bytes | memoryview) -> pa.RecordBatch:
        reading = pa.csv.ReadOptions(column_names=self._names, block_size=len(block) + 1, use_threads=False)
        converting = pa.csv.ConvertOptions(
            column_types=self._types,
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            true_values=["t"],
            false_values=["f"],
        )
        try:
            rows = pa.csv.read_csv(pa.py_buffer(block), read_options=reading, convert_options=converting)
            (batch,) = rows.to_batches()  # one block, one batch
        except pa.ArrowInvalid as error:
            raise DataError(self._told(str(error))) from error
        return batch

    def _told(self, error: str) -> str:
        found = AT_FAULT.match(error)
        if not found:
            return f"Table {self._source.table} cannot be read: {error}"
        column, what = self._names[int(found[1])], found[2][:300]
        return (
            f"Column {column!r} of table {self._source.table} holds a value that is no {self._types[column]} here: {what}. "
            "Correct it at the source (times lie in the years 1 to 9999, texts are UTF-8)."
        )

    def _day(self, moments: pa.Array) -> pa.Array:
        """The day of each moment in the problem's zone; days of 23 and 25 hours are as long as they are."""
        micros = moments.cast(pa.int64()).to_numpy()
        return self._days.take(pa.array(np.searchsorted(self._starts, micros, side="right") - 1))
