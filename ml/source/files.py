"""Files on disk or in a bucket as a source: from CSV, JSON lines and Parquet what a table in PostgreSQL gives.

All files of the pattern are read every night, except parts of Parquet files that say that their rows lie elsewhere. Rows of
the window wait in a temporary file until all are known, because a later file may hold a newer version of a row; memory stays
bounded. What is left out is counted and told in the log.
"""

import logging
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa

from ml.errors import DataError
from ml.problem import Problem
from ml.source import formats
from ml.source.chunk import Column, View
from ml.source.common import Rows, columns, refuse_missing, schema_of
from ml.source.known import DELETED, Seen, seen
from ml.source.newest import FILE, ORDER, Newest
from ml.source.places import File, find
from ml.store import writing
from ml.window import Window, local_day

log = logging.getLogger(__name__)
BATCH = 65_536  # rows handed on at a time
TAKES = {  # families of types that may stand for a declared type
    "number": ("number",),
    "boolean": ("boolean",),
    "datetime": ("datetime",),
    "category": ("text", "number", "boolean"),
    "text": ("text",),
    "zip": ("text",),
}


@contextmanager
def read(
    problem: Problem, window: Window, *, now: datetime, also: Mapping[str, str] | None = None, since: datetime | None = None
) -> Iterator[Rows]:
    """Rows of the window that were known at `now`; what became known later (a row, a label) is not seen.

    Errors in rows come while the batches are read, before the first of them is handed on.

    Args:
        also: further columns with their types, read where the newest file has them so.
        since: when the source was read last; rows of days before the window that became known after it are counted.
    Raises:
        DataError: no file, one that is broken, a column missing or of another type than declared, or rows without a time.
        ConfigError: the object store, or the disk, refuses. TransientError: it is away, or a file changed.
    """
    found = find(problem.source.pattern or "")
    wanted = columns(problem)
    more = {name: kind for name, kind in (also or {}).items() if name not in wanted}
    span = window.instants(problem.source.timezone)
    told = _columns(found, View(problem.source, wanted | more, span, now).kinds)
    wanted |= {name: kind for name, kind in more.items() if name in told and told[name].family in TAKES[kind]}
    view = View(problem.source, wanted, span, now, since, hidden=problem.privacy.redact)
    with tempfile.TemporaryDirectory(prefix="evergreen-source-") as folder:
        rows = Rows(schema_of(wanted), {name: column.type for name, column in told.items()}, iter(()))
        rows.batches = _batches(found, view, rows, Path(folder) / "rows")
        yield rows


def _columns(found: list[File], kinds: Mapping[str, str]) -> dict[str, Column]:
    """Columns of the file that is last in name order, each with the types that the files give it.

    JSON lines may leave out a name, so there all files tell the names. CSV knows no types, so there the last file tells all.
    Where files of several formats stand side by side, types go by the names that all formats share.
    """
    formats_ = {file.name: formats.kind(file) for file in found}
    last = found[-1]
    told = {f.name: formats.columns(f, kinds) for f in found if f is last or formats_[f.name].has_types}
    names = list(told[last.name])
    if formats_[last.name].may_leave_out:
        names = list(dict.fromkeys(name for file in told if formats_[file].may_leave_out for name in told[file]))
    each = {name: [columns_[name] for columns_ in told.values() if name in columns_] for name in names}
    families = {name: _joined(column.family for column in each[name]) for name in names}
    if len(set(formats_.values())) > 1:
        return {name: Column(families[name], families[name]) for name in names}
    return {name: Column(_joined(column.type for column in each[name]), families[name]) for name in names}


def _joined(types: Iterable[str]) -> str:
    """One name for the types of a column; one that holds nothing anywhere is null."""
    return " | ".join(sorted(set(types) - {"null"})) or "null"


@dataclass
class _Gathered:
    """What one pass over the files found."""

    newest: Newest
    num_outside: int = 0
    num_timeless: int = 0
    num_late: int = 0
    first_late: datetime | None = None

    def count(self, part: Seen) -> None:
        """Add what a piece of a file has besides its rows."""
        self.num_outside += part.num_outside
        self.num_timeless += part.num_timeless
        self.num_late += part.num_late
        self.first_late = min(filter(None, (self.first_late, part.first_late)), default=None)


def _batches(found: list[File], view: View, rows: Rows, path: Path) -> Iterator[pa.RecordBatch]:
    refuse_missing(found[-1].name, view.kinds, rows.types)
    with writing(path, "TMPDIR"):
        gathered = _gather(found, view, rows.schema, path)
    if gathered.num_timeless:
        raise DataError(
            f"{gathered.num_timeless} rows of {view.source.pattern} have no {' and no '.join(view.times)}, so no night would "
            "ever read them. Fill the time at the source; with [source] available_at they go to quarantine."
        )
    older = gathered.newest.superseded(_again(path))
    first = 0
    rows.num_late = gathered.num_late
    rows.first_late = gathered.first_late and local_day(gathered.first_late, view.source.timezone)
    for batch in _again(path):
        gone = np.isin(np.arange(first, first + batch.num_rows), older)
        first += batch.num_rows
        deleted = batch[DELETED].to_numpy(zero_copy_only=False) & ~gone
        rows.num_deleted += int(deleted.sum())
        kept = batch.filter(pa.array(~gone & ~deleted)).select(rows.schema.names)
        yield from (kept.slice(start, BATCH) for start in range(0, kept.num_rows, BATCH))
    log.info(
        "source: %d files; left out %d rows of other days or not known yet, %d older versions of rows, %d deleted",
        *(len(found), gathered.num_outside, len(older), rows.num_deleted),
    )


def _gather(found: list[File], view: View, schema: pa.Schema, path: Path) -> _Gathered:
    """Write the rows of the window to a file, each with its marks; keep in mind what decides which version counts."""
    gathered = _Gathered(Newest(view.source.key))
    waiting = pa.schema([*schema, (DELETED, pa.bool_()), (ORDER, pa.float64()), (FILE, pa.int32())])
    packed = pa.ipc.IpcWriteOptions(compression="lz4")
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, waiting, options=packed) as writer:
        for number, one in enumerate(found):
            for chunk in formats.chunks(one, view):
                part = seen(chunk, view, one.name)
                gathered.count(part)
                if part.rows.num_rows:
                    numbered = part.rows.append_column(FILE, pa.repeat(pa.scalar(number, pa.int32()), part.rows.num_rows))
                    gathered.newest.add(numbered)
                    writer.write_batch(numbered.select(waiting.names))
    return gathered


def _again(path: Path) -> Iterator[pa.RecordBatch]:
    with pa.OSFile(str(path)) as file, pa.ipc.open_stream(file) as waiting:
        yield from waiting
