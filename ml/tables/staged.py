"""Rows on their way into a table: Parquet files below it, one partition per day, that no version names yet."""

import contextlib
import shutil
import tempfile
import uuid
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ml.errors import DataError
from ml.store import Store, s3
from ml.tables import digest, log
from ml.tables.columns import DAY
from ml.tables.log import DataFile

HELD_BYTES = 16 * 2**20  # of rows in memory before they are written out; bounds memory whatever the window
ROW_GROUP = 131_072  # rows; what a reader takes into memory at once
FORMAT = {"compression": "zstd", "store_schema": False, "write_statistics": False}  # nobody looks for rows within a day
OPEN_FILES = 200  # days written side by side; with more, a day gets a second file


@dataclass
class Staged:
    """What was written, per day. It becomes part of the table by `Table.commit`, or goes by `discard`."""

    location: str
    schema: pa.Schema  # of the rows, with the day
    num_rows_by_day: dict[str, int] = field(default_factory=dict)
    fingerprints: dict[str, int] = field(default_factory=dict)
    files: list[DataFile] = field(default_factory=list)

    @property
    def num_rows(self) -> int:
        """Rows of all days."""
        return sum(self.num_rows_by_day.values())

    @property
    def columns(self) -> list[str]:
        """What the fingerprints are about, in their order."""
        return sorted(name for name in self.schema.names if name != DAY)

    @property
    def plain_schema(self) -> pa.Schema:
        """The schema as a table keeps it: categories are strings there."""
        fields = [(f.name, f.type.value_type if pa.types.is_dictionary(f.type) else f.type) for f in self.schema]
        return pa.schema(fields)

    def discard(self, days: Iterable[str] | None = None) -> None:
        """Remove the files of these days, or all of them; what a commit made part of the table stays."""
        gone = [one for one in self.files if days is None or one.day in days]
        named = log.names(self.location) if gone else set()
        for one in gone:
            if one.name not in named:
                Store(self.location).delete(one.name)
        self.files = [one for one in self.files if one not in gone]


def stage(location: str, batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> Staged:
    """Write rows as files of their days, in constant memory; nothing stays when it fails.

    Args:
        batches: of `schema`, in any order; each row has its `_day`.
    Raises: DataError: a row without a day. OSError: as the disk or the server says.
    """
    _give_memory_back()
    staged, remote = Staged(location, schema), s3.is_address(location)
    folder = Path(tempfile.mkdtemp(prefix="evergreen-stage-")) if remote else Path(location)
    writer = _Writer(staged, folder)
    try:
        _add_all(writer, batches)
        writer.close()
        if remote:
            _upload(staged, folder)
    except BaseException:
        writer.abandon()
        raise
    finally:
        if remote:
            shutil.rmtree(folder, ignore_errors=True)
    return staged


def _give_memory_back() -> None:
    """From here on this process returns what Arrow frees: its default allocator keeps a fifth more than is ever in use."""
    if "jemalloc" in pa.supported_memory_backends():
        pa.set_memory_pool(pa.jemalloc_memory_pool())


def _add_all(writer: "_Writer", batches: Iterable[pa.RecordBatch]) -> None:
    """Each batch is written while the next one is made: to compress takes as long as to look at the rows."""
    with ThreadPoolExecutor(1, "table-writer") as thread:
        adding: Future[None] | None = None
        for batch in batches:
            if adding:
                adding.result()
            adding = thread.submit(writer.add, batch)
        if adding:
            adding.result()


def split(batch: pa.RecordBatch) -> Iterator[tuple[str, pa.RecordBatch]]:
    """The rows of each day of a batch, without the column of the day.

    Raises: DataError: a row without a day.
    """
    days = batch.column(DAY)
    rows = batch.drop_columns([DAY])
    if days.null_count:
        raise DataError(f"{days.null_count} rows have no {DAY}, so they belong to no part of the table.")
    coded = days if pa.types.is_dictionary(days.type) else days.dictionary_encode()
    codes, names = coded.indices.to_numpy(), coded.dictionary.to_pylist()
    if (codes == codes[:1]).all():
        yield from ((names[code], rows) for code in codes[:1])
        return
    order = np.argsort(codes, kind="stable")
    ordered, codes = rows.take(pa.array(order)), codes[order]
    starts = np.flatnonzero(np.r_[True, codes[1:] != codes[:-1]])
    for start, end in zip(starts, [*starts[1:], len(codes)], strict=True):
        yield names[codes[start]], ordered.slice(start, end - start)


class _Writer:
    """Gathers rows per day, writes them out together when they take too much room."""

    def __init__(self, staged: Staged, folder: Path) -> None:
        self.staged, self.folder = staged, folder
        self.columns = staged.columns
        self.schema = pa.schema([field for field in staged.schema if field.name != DAY])
        self.waiting: dict[str, list[pa.RecordBatch]] = {}
        self.num_bytes = 0
        self.open: dict[str, tuple[str, pq.ParquetWriter]] = {}
        self.begun: list[Path] = []
        self.repeating: list[str] | None = None

    def add(self, batch: pa.RecordBatch) -> None:
        counts, prints = self.staged.num_rows_by_day, self.staged.fingerprints
        for day, rows in split(batch):
            value = digest.total(digest.row_hashes(rows, self.columns))
            counts[day] = counts.get(day, 0) + rows.num_rows
            prints[day] = (prints.get(day, 0) + value) % 2**64
            self.waiting.setdefault(day, []).append(rows)
        self.num_bytes += batch.nbytes
        if self.num_bytes >= HELD_BYTES:
            self._write_out()

    def close(self) -> None:
        self._write_out()
        for day in list(self.open):
            self._finish(day)

    def abandon(self) -> None:
        for _, writer in self.open.values():
            with contextlib.suppress(OSError):  # on a full disk the end of the file does not fit either
                writer.close()
        for path in self.begun:
            path.unlink(missing_ok=True)

    def _write_out(self) -> None:
        if self.repeating is None and self.waiting:
            self.repeating = _repeating(next(iter(self.waiting.values()))[0])
        for day, batches in self.waiting.items():
            if day not in self.open and len(self.open) >= OPEN_FILES:
                self._finish(next(iter(self.open)))
            self._file(day).write_table(pa.Table.from_batches(batches, self.schema), row_group_size=ROW_GROUP)
        self.waiting, self.num_bytes = {}, 0

    def _file(self, day: str) -> pq.ParquetWriter:
        if day not in self.open:
            name = f"{DAY}={day}/{uuid.uuid4().hex}.parquet"
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            self.begun.append(path)
            self.open[day] = name, pq.ParquetWriter(path, self.schema, use_dictionary=self.repeating or False, **FORMAT)
        return self.open[day][1]

    def _finish(self, day: str) -> None:
        name, writer = self.open.pop(day)
        writer.close()
        num_rows = writer.writer.metadata.num_rows
        self.staged.files.append(DataFile(day, name, (self.folder / name).stat().st_size, num_rows))


def _upload(staged: Staged, folder: Path) -> None:
    remote = Store(staged.location, cache=folder)
    for one in staged.files:
        with remote.replacing(one.name) as path:
            (folder / one.name).rename(path)


def _repeating(rows: pa.RecordBatch) -> list[str]:
    """Columns whose values repeat; a dictionary makes these small and quick to write, and all others slow."""

    def repeats(column: pa.Array) -> bool:
        return len(pc.unique(column)) < len(column) / 10

    return [field.name for field in rows.schema if not pa.types.is_nested(field.type) and repeats(rows[field.name])]
