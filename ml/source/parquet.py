"""Parquet files: typed columns, and parts that need not be read."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ml.errors import DataError
from ml.source.chunk import Chunk, Column, View
from ml.source.places import File

BATCH = 65_536  # rows
PIECE = 4 << 20  # bytes asked for at a time
NUMBERS = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal)
TEXTS = (pa.types.is_string, pa.types.is_large_string)
ACCEPTED: dict[str, tuple[Any, ...]] = {  # Arrow types that may stand for each declared type
    "number": NUMBERS,
    "boolean": (pa.types.is_boolean,),
    "datetime": (pa.types.is_timestamp, pa.types.is_date),
    "category": (*TEXTS, *NUMBERS, pa.types.is_boolean),
    "key": (*TEXTS, *NUMBERS),
    "text": TEXTS,
    "zip": TEXTS,
    "mark": (pa.types.is_boolean, pa.types.is_timestamp, pa.types.is_date, *TEXTS),
    "order": (pa.types.is_timestamp, pa.types.is_date, *NUMBERS),
}


@dataclass(frozen=True)
class Parquet:
    """One Parquet file."""

    file: File
    has_types = True
    may_leave_out = False

    def columns(self, kinds: Mapping[str, str]) -> dict[str, Column]:
        """Names with Arrow's names of their types."""
        with self.file.open(PIECE) as raw, pq.ParquetFile(raw) as opened:
            types = {field.name: _plain(field.type) for field in opened.schema_arrow}
        return {name: Column(str(found).removeprefix("large_"), _family(found)) for name, found in types.items()}

    def chunks(self, view: View) -> Iterator[Chunk]:
        """Rows of the row groups that may lie in the span, or may have come late.

        Raises: DataError: a column has a type that the declared one cannot be.
        """
        with self.file.open(PIECE) as raw, pq.ParquetFile(raw) as opened:
            wanted = [field for field in opened.schema_arrow if field.name in view.kinds]
            for field in wanted:
                self._check(field, view.kinds[field.name])
            names, first = [field.name for field in wanted], 1
            for group in range(opened.num_row_groups):
                num_rows = opened.metadata.row_group(group).num_rows
                if not _needless(opened.metadata.row_group(group), view):
                    start = first
                    for batch in opened.iter_batches(BATCH, row_groups=[group], columns=names):
                        yield Chunk(batch, opened.schema_arrow.names, np.arange(start, start + batch.num_rows))
                        start += batch.num_rows
                first += num_rows

    def _check(self, field: pa.Field, kind: str) -> None:
        found = _plain(field.type)
        if not pa.types.is_null(found) and not any(accepted(found) for accepted in ACCEPTED[kind]):
            raise DataError(
                f"Column {field.name!r} of {self.file.name} is {found}, but the problem file needs it as {kind}. Its type "
                "changed at the source, or the problem file is wrong."
            )


def _plain(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _family(found: pa.DataType) -> str:
    for family in ("number", "boolean", "datetime", "text"):
        if any(accepted(found) for accepted in ACCEPTED[family]):
            return family
    return str(found)


def _needless(group: pq.RowGroupMetaData, view: View) -> bool:
    """Whether no row of a row group lies in the span, and none of an earlier day came since the last time.

    A day is allowed on either side, because times without zone are local.
    """
    day, event = timedelta(days=1), _bounds(group, view.source.event_time)
    if event is None:
        return False
    if event[0] > view.span[1] + day:
        return True
    if event[1] >= view.span[0] - day:
        return False
    if view.since is None or not view.source.available_at:
        return True
    available = _bounds(group, view.source.available_at)
    return available is not None and available[1] < view.since - day


def _bounds(group: pq.RowGroupMetaData, name: str) -> tuple[datetime, datetime] | None:
    """Earliest and latest time of a column, as far as the file says so and says that none is missing."""
    for index in range(group.num_columns):
        column = group.column(index)
        if column.path_in_schema == name and (known := column.statistics) is not None and known.has_min_max:
            first, last = _instant(known.min), _instant(known.max)
            return (first, last) if known.null_count == 0 and first and last else None
    return None


def _instant(value: object) -> datetime | None:
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    return datetime.combine(value, time(), UTC) if isinstance(value, date) else None
