"""The log of a Delta table: what each version names, who wrote it, and which files nobody needs any more."""

import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import pyarrow as pa
import pyarrow.compute as pc

from ml.errors import DataError
from ml.store import Store, s3
from ml.tables import place
from ml.tables.columns import DAY

if TYPE_CHECKING:
    from deltalake import CommitProperties, DeltaTable
    from deltalake.transaction import AddAction

BATCH = 65_536  # rows
CONFIGURATION = {
    # versions that a registered model used must open for as long as their files are there, so the log is never cleaned
    "delta.logRetentionDuration": "interval 36500 days",
    "delta.enableExpiredLogCleanup": "false",
    # least and greatest values of columns in the log would be values of people where no erasure finds them
    "delta.dataSkippingNumIndexedCols": "0",
}


@dataclass(frozen=True)
class DataFile:
    """One Parquet file of one day, as the log names it."""

    day: str
    name: str  # below the table's location
    size: int  # bytes
    num_rows: int


@dataclass(frozen=True)
class Commit:
    """One version of a table: when it was made, how, and what the writer noted (`run_key`, `stage`)."""

    version: int
    at: datetime
    operation: str
    note: Mapping[str, str]


def exists(location: str) -> bool:
    """Whether a first version was written."""
    if not s3.is_address(location):
        return any((Path(location) / "_delta_log").glob("*.json"))
    from deltalake import DeltaTable

    with place.reaching(location):
        return bool(DeltaTable.is_deltatable(location, storage_options=place.options(location)))


def open_(location: str, version: int | None = None) -> "DeltaTable":
    """The table as of a version (default: newest).

    Raises: DataError: there is no such table or version.
    """
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError, TableNotFoundError

    try:
        with place.reaching(location):
            return DeltaTable(location, version=version, storage_options=place.options(location))
    except TableNotFoundError as error:
        raise DataError(f"There is no table {location} yet; the stage that writes it has not run.") from error
    except DeltaError as error:
        raise DataError(f"Table {location} has no version {version}: {error}") from error


def schema(delta: "DeltaTable") -> pa.Schema:
    """Columns with their types, the day among them."""
    return dataset(delta).schema


def files(delta: "DeltaTable") -> list[dict[str, Any]]:
    """`path`, `num_records` and `partition._day` of every data file of the version."""
    entries = pa.table(delta.get_add_actions(flatten=True))
    return entries.select(["path", "num_records", f"partition.{DAY}"]).to_pylist() if entries.num_rows else []


def dataset(delta: "DeltaTable") -> Any:
    """A version as an Arrow dataset.

    Arrow opens files of a folder by itself. Through deltalake's own reader its threads call Python, and a thread that does so
    while the interpreter ends takes the process down ("terminate called without an active exception").
    """
    from pyarrow import fs

    if s3.is_address(delta.table_uri):
        return delta.to_pyarrow_dataset()
    root = unquote(urlsplit(delta.table_uri).path) if delta.table_uri.startswith("file://") else delta.table_uri
    return delta.to_pyarrow_dataset(filesystem=fs.SubTreeFileSystem(root, fs.LocalFileSystem()))


def batches(delta: "DeltaTable", inside: pc.Expression, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
    """Rows of a version in small pieces, always in the same order.

    One file after the other: a scan of them all reads hundreds of megabytes ahead of whoever takes their time.
    """
    held = dataset(delta)
    wanted = held.schema.names if columns is None else list(columns)
    for fragment in sorted(held.get_fragments(filter=inside), key=lambda one: str(one.path)):
        how = {"columns": wanted, "filter": inside, "batch_size": BATCH, "batch_readahead": 1}
        yield from (batch for batch in fragment.to_batches(schema=held.schema, **how) if batch.num_rows)


def names(location: str) -> set[str]:
    """Data files that the newest version names, none before the first."""
    return {one["path"] for one in files(open_(location))} if exists(location) else set()


def history(location: str) -> list[Commit]:
    """Every version, newest first."""
    return [
        Commit(
            version=entry["version"],
            at=datetime.fromtimestamp(entry["timestamp"] / 1000, UTC),
            operation=entry["operation"],
            note=json.loads(entry.get("userMetadata") or "{}"),
        )
        for entry in open_(location).history()
    ]


def create(location: str, schema: pa.Schema, added: Iterable[DataFile], note: Mapping[str, str]) -> int:
    """Make the table with its first files; deltalake's own error tells that somebody else was faster."""
    from deltalake import Schema
    from deltalake.transaction import create_table_with_add_actions

    create_table_with_add_actions(
        location,
        Schema.from_arrow(schema),
        [_action(one) for one in added],
        partition_by=[DAY],
        configuration=CONFIGURATION,
        storage_options=place.options(location),
        commit_properties=_properties(note),
    )
    return 0


def put(delta: "DeltaTable", days: Iterable[str], added: Iterable[DataFile], schema: pa.Schema, note: Mapping[str, str]) -> int:
    """One commit on exactly the version that `delta` shows: these files are all that the days hold.

    No retry of deltalake's own: its conflict check lets two writers fill the same empty day.
    """
    from deltalake import Schema

    delta.create_write_transaction(
        [_action(one) for one in added],
        "overwrite",
        Schema.from_arrow(schema),
        partition_by=[DAY],
        partition_filters=[(DAY, "in", sorted(days))],
        commit_properties=_properties(note),
    )
    return int(delta.version()) + 1


def vacuum(location: str, *, keep: Iterable[int], older_than_hours: int, dry_run: bool) -> list[str]:
    """Remove data files that neither the newest version names, nor one of `keep`, nor anybody may still be writing.

    deltalake finds them but does not remove them: it would write two versions of its own, and a quiet night looks changed.

    Returns: names of the removed files; in a dry run, of those that would be.
    """
    unused = open_(location).vacuum(
        older_than_hours, dry_run=True, enforce_retention_duration=False, full=True, keep_versions=sorted(keep)
    )
    files = Store(location)
    removed = sorted(set(unused) & set(files.names()))
    for name in () if dry_run else removed:
        files.delete(name)
    return removed


@contextmanager
def reading(location: str, version: int | None) -> Iterator[None]:
    """Tell of files that are gone.

    Raises: DataError: vacuum removed what this version named.
    """
    try:
        with place.reaching(location):
            yield
    except FileNotFoundError as error:
        raise DataError(
            f"Version {'newest' if version is None else version} of table {location} can no longer be read: vacuum removed its "
            "files. Read a newer version; [retention] versions_days says how long old ones stay."
        ) from error


def _properties(note: Mapping[str, str]) -> "CommitProperties":
    from deltalake import CommitProperties

    return CommitProperties(custom_metadata={"userMetadata": json.dumps(dict(note))}, max_commit_retries=0)


def _action(one: DataFile) -> "AddAction":
    from deltalake.transaction import AddAction

    stats = json.dumps({"numRecords": one.num_rows})
    return AddAction(one.name, one.size, {DAY: one.day}, int(time.time() * 1000), True, stats)
