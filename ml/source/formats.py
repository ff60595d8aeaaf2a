"""Files of any accepted format as pieces of raw columns; what is broken in a file is told with its name."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pyarrow as pa

from ml.errors import DataError
from ml.source import parquet, text
from ml.source.chunk import Chunk, Column, View
from ml.source.places import File
from ml.source.typed import UnfitError

Format = text.Csv | text.JsonLines | parquet.Parquet
TEXTS: dict[str, type[text.Csv | text.JsonLines]] = {
    ".csv": text.Csv,
    ".jsonl": text.JsonLines,
    ".ndjson": text.JsonLines,
    ".json": text.JsonLines,
}
PACKED = {".gz": "gzip", ".zst": "zstd"}
BROKEN = (pa.ArrowInvalid, pa.ArrowKeyError, OSError, UnicodeError, ValueError)


def columns(file: File, kinds: Mapping[str, str]) -> dict[str, Column]:
    """Columns of a file, in its order.

    Args:
        kinds: declared types by name.
    Raises: DataError: the file is no such file. TransientError: it changed, or the object store is away.
    """
    with _told(file):
        return _format(file).columns(kinds)


def chunks(file: File, view: View) -> Iterator[Chunk]:
    """Those of the wanted columns that the file has, a bounded number of rows at a time; not yet typed.

    Raises: see `columns`.
    """
    with _told(file):
        yield from _format(file).chunks(view)


def kind(file: File) -> type[Format]:
    """Its format."""
    return type(_format(file))


def _format(file: File) -> Format:
    if file.num_bytes == 0:
        raise DataError(f"{file.name} is empty, without even a header: an export that broke off? Write it again, or remove it.")
    name = file.name.lower()
    if name.endswith(".parquet"):
        return parquet.Parquet(file)
    packing = next((PACKED[end] for end in PACKED if name.endswith(end)), None)
    plain = name.rpartition(".")[0] if packing else name
    for end, chosen in TEXTS.items():
        if plain.endswith(end):
            return chosen(file, packing)
    raise DataError(
        f"{file.name} is of no known format. Names end with {', '.join(TEXTS)}, each also with {' or '.join(PACKED)}, or "
        ".parquet. Narrow [source] pattern to such files."
    )


@contextmanager
def _told(file: File) -> Iterator[None]:
    try:
        yield
    except UnfitError:
        raise
    except UnicodeError as error:
        raise DataError(f"{file.name} is not UTF-8 text ({error}). Export it as UTF-8.") from error
    except BROKEN as error:
        said = " ".join(str(error).split())[:300]
        if "invalid UTF8" in said:
            raise DataError(f"{file.name} is not UTF-8 text ({said}). Export it as UTF-8.") from error
        raise DataError(f"{file.name} cannot be read to its end ({said}). Export it again, or mend it by hand.") from error
