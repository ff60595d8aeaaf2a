"""Exactly the rows of one version, as a file that other tools read."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from ml.context import Context
from ml.errors import ConfigError, DataError, RefusedError
from ml.versions.names import Ref, every_day
from ml.window import Window

KINDS = (".parquet", ".csv")


def checkout(context: Context, ref: Ref, out: Path, *, window: Window | None = None, force: bool = False) -> int:
    """Write the rows of a version to a Parquet or CSV file, whole or not at all; returns their number.

    Raises:
        ConfigError: the file's ending names neither format, or its folder does not exist.
        RefusedError: the file exists, and not `force`.
        DataError: the version is not there, or vacuum removed its files.
    """
    if out.suffix not in KINDS or not out.parent.is_dir():
        raise ConfigError(f"{out} must end in {' or '.join(KINDS)} and lie in a folder that exists.")
    if out.exists() and not force:
        raise RefusedError(f"{out} exists. Name another file, or say --force to replace it.")
    table = context.table(ref.table)
    span = window or every_day(table, ref.version)
    if span is None:
        raise DataError(f"{ref} holds no rows.")
    num_rows = 0
    schema = pa.schema(list(table.schema(ref.version).items()))
    with _replacing(out) as path, _writer(path, schema) as writer:
        for batch in table.batches(span, version=ref.version):
            writer.write_batch(_flat(batch.select(schema.names)) if out.suffix == ".csv" else batch.select(schema.names))
            num_rows += batch.num_rows
    return num_rows


@contextmanager
def _replacing(out: Path) -> Iterator[Path]:
    """A file beside `out` that takes its place when all is written."""
    handle, name = tempfile.mkstemp(dir=out.parent, prefix=f".{out.stem}-", suffix=out.suffix)
    os.close(handle)
    try:
        yield Path(name)
        Path(name).chmod(0o644)
        Path(name).replace(out)
    finally:
        Path(name).unlink(missing_ok=True)


def _writer(path: Path, schema: pa.Schema) -> pyarrow.csv.CSVWriter | pq.ParquetWriter:
    if path.suffix == ".parquet":
        return pq.ParquetWriter(path, schema, compression="zstd")
    nothing = pa.RecordBatch.from_arrays([pa.array([], field.type) for field in schema], schema=schema)
    return pyarrow.csv.CSVWriter(path, _flat(nothing).schema)


def _flat(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Lists as text, because CSV knows none."""
    columns = [pc.binary_join(one.cast(pa.list_(pa.string())), "; ") if pa.types.is_nested(one.type) else one for one in batch]
    return pa.RecordBatch.from_arrays(columns, batch.schema.names)
