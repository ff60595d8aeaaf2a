"""A Delta table by day: read as of a version, written in whole days and single commits."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ml.errors import DataError
from ml.tables import commit, log, place, staged
from ml.tables.columns import DAY, merged
from ml.tables.commit import ATTEMPTS, Change, OvertakenError
from ml.tables.log import Commit
from ml.tables.staged import Staged
from ml.window import Window

NOTHING: Mapping[str, str] = {}
Keep = Callable[[pa.RecordBatch], Any]


@dataclass(frozen=True)
class Table:
    """A Delta table in a folder or at `s3://bucket/prefix`; it exists after the first write."""

    path: str | Path

    @cached_property
    def location(self) -> str:
        """Where it lies, as text."""
        return str(self.path)

    @property
    def name(self) -> str:
        """The last part of its location."""
        return self.location.rstrip("/").rpartition("/")[2]

    @property
    def exists(self) -> bool:
        """Whether anything was ever written."""
        return log.exists(self.location)

    @property
    def version(self) -> int:
        """Newest version, from 0 on.

        Raises: DataError: nothing was written yet.
        """
        return int(log.open_(self.location).version())

    @property
    def newest(self) -> int | None:
        """The same, None when nothing was written yet."""
        return self.version if self.exists else None

    def newest_day(self) -> date | None:
        """The latest day that has rows, None for an empty or absent table."""
        days = self.days()
        return days[-1] if days else None

    def schema(self, version: int | None = None) -> dict[str, pa.DataType]:
        """Columns with their types as of a version (default: newest), none before the first write."""
        return {field.name: field.type for field in log.schema(log.open_(self.location, version))} if self.exists else {}

    def days(self) -> list[date]:
        """Days that have rows, sorted."""
        return sorted(self.files()) if self.exists else []

    def files(self, version: int | None = None) -> dict[date, frozenset[str]]:
        """Names of the data files per day, as of a version (default: newest); equal names hold equal rows."""
        days: dict[date, set[str]] = {}
        for one in log.files(log.open_(self.location, version)):
            days.setdefault(date.fromisoformat(one["partition._day"]), set()).add(one["path"])
        return {day: frozenset(names) for day, names in sorted(days.items())}

    def num_rows(self, window: Window, *, version: int | None = None) -> dict[str, int]:
        """Rows per day of a window that has any, told by the table's log without reading data."""
        counts: dict[str, int] = {}
        for one in log.files(log.open_(self.location, version)):
            day = one["partition._day"]
            if str(window.start) <= day < str(window.end):
                counts[day] = counts.get(day, 0) + int(one["num_records"])
        return {day: count for day, count in sorted(counts.items()) if count}

    def read(self, window: Window, *, columns: Sequence[str] | None = None, version: int | None = None) -> pa.Table:
        """Rows of a window as of a version (default: newest).

        Raises: DataError: the table or the version does not exist, or its files were removed.
        """
        with log.reading(self.location, version):
            dataset = log.dataset(log.open_(self.location, version))
            return dataset.to_table(columns=None if columns is None else list(columns), filter=_inside(window))

    def batches(
        self, window: Window, *, columns: Sequence[str] | None = None, version: int | None = None
    ) -> Iterator[pa.RecordBatch]:
        """The same rows a bit at a time, at most 65,536 each, in constant memory; in the same order each time.

        Raises: as `read`.
        """
        return self._batches(_inside(window), columns, version)

    def stage(self, batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> Staged:
        """Write rows as files below the table that no version names yet; `commit` makes them part of it.

        Args:
            schema: of the batches; `_day` says where a row belongs.
        Raises:
            DataError: a row without a day, or a column of another type than in the table; nothing stays.
            TransientError: the disk is full or may not be written; nothing stays.
        """
        if self.exists:
            merged(log.schema(log.open_(self.location)), schema, table=self.name)
        with place.reaching(self.location):
            return staged.stage(self.location, batches, schema)

    def commit(
        self,
        rows: Staged,
        window: Window,
        *,
        note: Mapping[str, str] = NOTHING,
        based_on: int | None = None,
        unless: Callable[[], None] = lambda: None,
    ) -> int:
        """Put the staged days in the place of all days of the window, in one commit that names only days that differ.

        A column that is new to the table is missing in its other rows; one that `rows` lack is missing in them. Where
        nothing differs no version is made. Files of days that did not differ are removed.

        Args:
            based_on: the version that the rows were made from; then nobody may have changed these days since.
            unless: raises where the rows must not go in any more; asked when everything is compared, before each try.
        Returns: the version that holds the rows now.
        Raises:
            DataError: a row's day lies outside the window, or a column has another type than before; nothing is changed.
            TransientError: the disk is full; somebody else changed the days of `based_on`; or others commit all the time.
        """
        strays = sorted(day for day in rows.num_rows_by_day if not str(window.start) <= day < str(window.end))
        if strays:
            raise DataError(f"{self.name}: rows of {strays} do not belong to the window {window}.")
        inside = Change(rows, lambda day: str(window.start) <= day < str(window.end), note, based_on, unless)
        return commit.put(self.location, inside)

    def replace(self, window: Window, rows: pa.Table, *, note: Mapping[str, str] = NOTHING) -> int:
        """Stage and commit at once; returns the version.

        Raises: as `stage` and `commit`; nothing is written then.
        """
        ready = self.stage(rows.to_batches(), rows.schema)
        try:
            return self.commit(ready, window, note=note)
        except BaseException:
            ready.discard()
            raise

    def rewrite(self, days: Iterable[date], keep: Keep, *, note: Mapping[str, str] = NOTHING) -> int:
        """Leave out the rows of some days that `keep` says False to; returns the version without them.

        Args:
            keep: from a batch to a boolean mask, True for the rows that stay.
        Raises: as `read` and `commit`.
        """
        chosen = {str(day) for day in days}
        for _ in range(ATTEMPTS):
            version = self.version
            held = self._batches(pc.field(DAY).isin(sorted(chosen)), None, version)
            ready = self.stage((batch.filter(keep(batch)) for batch in held), log.schema(log.open_(self.location, version)))
            try:
                return commit.put(self.location, Change(ready, chosen.__contains__, note, version))
            except OvertakenError:
                ready.discard()
            except BaseException:
                ready.discard()
                raise
        raise commit.too_busy(self.location)

    def history(self) -> list[Commit]:
        """Every version, newest first, with what its writer noted."""
        return log.history(self.location)

    def vacuum(self, *, keep: set[int], older_than_hours: int, dry_run: bool = False) -> list[str]:
        """Remove files of old versions and of writers that were killed; returns their names. A dry run only names them.

        Never removes files of the newest version, of the versions in `keep`, or younger than `older_than_hours`:
        with 0, what another process is staging just now would go too.
        """
        return log.vacuum(self.location, keep=keep, older_than_hours=older_than_hours, dry_run=dry_run)

    def _batches(self, inside: pc.Expression, columns: Sequence[str] | None, version: int | None) -> Iterator[pa.RecordBatch]:
        with log.reading(self.location, version):
            yield from log.batches(log.open_(self.location, version), inside, columns)


def _inside(window: Window) -> pc.Expression:
    return (pc.field(DAY) >= str(window.start)) & (pc.field(DAY) < str(window.end))
