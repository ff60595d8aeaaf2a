"""Delta tables `raw`, `valid`, `quarantine`: one partition per day, replaced whole, so twice is once."""

import errno
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from ml.errors import DataError
from ml.store import writing
from ml.window import Window

DAY = "_day"
ARROW_TYPES = {  # of the feature types of a problem file
    "number": pa.float64(),
    "boolean": pa.bool_(),
    "datetime": pa.timestamp("us", "UTC"),
    "category": pa.string(),
    "text": pa.string(),
    "zip": pa.string(),
}


@dataclass(frozen=True)
class Table:
    """A Delta table in a folder; it exists after the first write."""

    path: Path

    @property
    def exists(self) -> bool:
        """Whether anything was ever written."""
        return (self.path / "_delta_log").is_dir()

    @property
    def version(self) -> int:
        """Newest version, from 0 on.

        Raises: DataError: nothing was written yet.
        """
        return int(self._open(None).version())

    def newest_day(self) -> date | None:
        """The latest day that has rows, None for an empty or absent table."""
        days = self.days()
        return days[-1] if days else None

    def schema(self) -> dict[str, pa.DataType]:
        """Columns with their types, none before the first write."""
        return {field.name: field.type for field in self._open(None).to_pyarrow_dataset().schema} if self.exists else {}

    def days(self) -> list[date]:
        """Days that have rows, sorted."""
        if not self.exists:
            return []
        return sorted(date.fromisoformat(partition[DAY]) for partition in self._open(None).partitions())

    def read(self, window: Window, *, columns: Sequence[str] | None = None, version: int | None = None) -> pa.Table:
        """Rows of a window as of a version (default: newest).

        Raises: DataError: the table or the version does not exist.
        """
        inside = (pc.field(DAY) >= str(window.start)) & (pc.field(DAY) < str(window.end))
        dataset = self._open(version).to_pyarrow_dataset()
        return dataset.to_table(columns=list(columns) if columns is not None else None, filter=inside)

    def replace(self, window: Window, rows: pa.Table) -> int:
        """Put `rows` in the place of all rows of the window in one commit; returns the new version.

        A column that is new to the table is missing in its other rows; one that `rows` lack is missing in them.

        Raises:
            DataError: a row's day lies outside the window, or a column has another type than before; nothing is written.
            TransientError: the disk is full or may not be written; nothing is changed.
        """
        from deltalake import write_deltalake
        from deltalake.exceptions import DeltaError

        strays = [day for day in pc.unique(rows[DAY]).to_pylist() if not str(window.start) <= day < str(window.end)]
        if strays:
            raise DataError(f"{self.path.name}: rows of {strays} do not belong to the window {window}.")
        self._refuse_other_types(rows)
        place = (f"{DAY} >= '{window.start}' AND {DAY} < '{window.end}'") if self.exists else None
        with writing(self.path):
            try:
                how = {"schema_mode": "merge", "predicate": place} if place else {}
                write_deltalake(str(self.path), rows, mode="overwrite", partition_by=[DAY], **how)
            except (DeltaError, OSError) as error:
                raise _as_os_error(error) from error
        return self.version

    def _refuse_other_types(self, rows: pa.Table) -> None:
        """Delta would cast where it can, and '5' would become 5 without a word."""
        held = self.schema()
        changed = [
            f"{f.name}: {held[f.name]} before, {f.type} now" for f in rows.schema if not _alike(held.get(f.name, f.type), f.type)
        ]
        if changed:
            raise DataError(
                f"Columns of table {self.path.name} changed their type ({'; '.join(changed)}). Past days cannot be read with "
                "both. Give the feature its old type, or a new name, in the problem file."
            )

    def _open(self, version: int | None):  # type: ignore[no-untyped-def]  # deltalake is imported where it is used
        from deltalake import DeltaTable
        from deltalake.exceptions import DeltaError, TableNotFoundError

        try:
            return DeltaTable(str(self.path), version=version)
        except TableNotFoundError as error:
            raise DataError(f"There is no table {self.path} yet; the stage that writes it has not run.") from error
        except DeltaError as error:
            raise DataError(f"Table {self.path} has no version {version}: {error}") from error


def _alike(one: pa.DataType, other: pa.DataType) -> bool:
    """Whether two columns hold the same kind of values; Arrow has two layouts for strings and for lists."""
    return str(one).replace("large_", "").split("<")[0] == str(other).replace("large_", "").split("<")[0]


def _as_os_error(error: Exception) -> Exception:
    """deltalake tells of a full or forbidden disk only in words; give `writing` the error number it knows."""
    for number in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS, errno.EPERM):
        if os.strerror(number) in str(error):
            return OSError(number, str(error))
    return error
