"""What is asked of files, and the pieces in which they answer."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ml.problem import Source

FAMILY = {"number": "number", "boolean": "boolean", "datetime": "datetime"}  # of a declared type; all others are text


class Column(NamedTuple):
    """A column of a file: the format's own name of its type, and what that is in any format.

    Families: number, boolean, datetime, text, null (nothing but missing values), and whatever else there is by its own name.
    """

    type: str
    family: str


@dataclass(frozen=True)
class View:
    """What is asked for: declared columns with their types, rows from one instant up to another, as known at a third.

    `since` is when the source was read last, if what came later for earlier days is to be counted; `hidden` are columns whose
    values no error may tell.
    """

    source: Source
    wanted: Mapping[str, str]
    span: tuple[datetime, datetime]
    now: datetime
    since: datetime | None = None
    hidden: Collection[str] = ()

    @property
    def kinds(self) -> dict[str, str]:
        """Every column that is read, also those that only mark a row."""
        marks = {self.source.deleted: "mark", self.source.updated_at: "order"}
        return {name: kind for name, kind in marks.items() if name} | dict(self.wanted)

    @property
    def times(self) -> list[str]:
        """Columns that decide whether a row is seen."""
        return [name for name in (self.source.event_time, self.source.available_at) if name]


@dataclass(frozen=True)
class Chunk:
    """Rows of the wanted columns, the names of all columns of the file, and which number each row has in the file.

    Numbers count from 1 on: rows, with the header, or lines.
    """

    rows: pa.RecordBatch
    columns: Collection[str]
    numbers: npt.NDArray[np.int64]
    unit: str = "row"
