"""A number per day that tells whether two days hold the same rows, in whatever order they stand."""

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Hashes = npt.NDArray[np.uint64]


def row_hashes(rows: pa.RecordBatch, columns: Sequence[str]) -> Hashes:
    """A 64-bit hash per row over the given columns, in that order; comparable within one process only.

    NULL, '' and 0 differ within a column, and numbers are compared to the bit: NaN equals itself, -0.0 is not 0.0.
    """
    import polars as pl

    arrays = [_bits(rows.column(name)) for name in columns]
    frame = pl.DataFrame(pl.from_arrow(pa.RecordBatch.from_arrays(arrays, [str(number) for number in range(len(arrays))])))
    hashes = frame.hash_rows().to_numpy().astype(np.uint64)
    # polars combines columns lightly; without another stir, two rows that swap a value might have the same sum
    hashes ^= hashes >> np.uint64(32)
    hashes *= np.uint64(0x9E3779B97F4A7C15)
    return np.asarray(hashes ^ (hashes >> np.uint64(29)))


def total(hashes: Hashes) -> int:
    """The digest of many rows: the sum of their hashes modulo 2**64, so that order does not matter."""
    return int(hashes.sum(dtype=np.uint64))


def fingerprint(batches: Iterable[pa.RecordBatch], columns: Sequence[str]) -> tuple[int, int]:
    """Number of rows and their digest, in constant memory."""
    num_rows, value = 0, 0
    for batch in batches:
        num_rows += batch.num_rows
        value = (value + total(row_hashes(batch, columns))) % 2**64
    return num_rows, value


def _bits(column: pa.Array) -> pa.Array:
    if pa.types.is_float64(column.type):
        return column.view(pa.uint64())
    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
