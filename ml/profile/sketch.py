"""How many different values: exact up to 10,000, then an estimate from the smallest hashes.

The k smallest of uniformly distributed hashes tell how dense they lie: distinct is about (k - 1) / h_k, with h_k the k-th
smallest as a share of all possible hashes; the standard error is 1 / sqrt(k - 2) (Bar-Yossef et al. 2002; Beyer et al. 2007).
Sketches of two batches united are the sketch of both.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Hashes = npt.NDArray[np.uint64]
EXACT = 10_000
RANGE = 2.0**64


class Sketch:
    """The smallest hashes met so far."""

    def __init__(self, size: int = EXACT, hashes: Sequence[int] = ()) -> None:
        self.size = size
        self._hashes: Hashes = np.asarray(hashes, np.uint64)
        self._waiting: list[Hashes] = []  # sorting them in costs the same for one as for thousands
        self._num_waiting = 0

    @property
    def hashes(self) -> Hashes:
        """The smallest hashes, sorted."""
        if self._waiting:
            found = np.sort(np.concatenate([self._hashes, *self._waiting]))
            self._hashes = found[np.diff(found, prepend=~found[:1]) != 0][: self.size]
            self._waiting, self._num_waiting = [], 0
        return self._hashes

    def add(self, values: pa.Array) -> None:
        """Take the values of an array in; nulls are none."""
        values = values.drop_null() if values.null_count else values
        if len(self._hashes) < self.size:  # few values so far: they repeat, and hashing each once is cheaper
            self.unite(hashes(pc.unique(values)))
        else:
            found = hashes(values)
            self.unite(found[found < self._hashes[-1]])

    def unite(self, more: Hashes) -> None:
        """Take hashes in."""
        self._waiting.append(more)
        self._num_waiting += len(more)
        if self._num_waiting >= self.size:
            _ = self.hashes

    def distinct(self) -> int:
        """The number of different values."""
        if len(self.hashes) < self.size:
            return len(self.hashes)
        return round((self.size - 1) * RANGE / float(self.hashes[-1]))


def hashes(values: pa.Array) -> Hashes:
    """64 bits per value, the same for the same value on any machine (of a string: with the same version of polars)."""
    if pa.types.is_floating(values.type):
        return spread(np.asarray(values.cast(pa.float64()).to_numpy(zero_copy_only=False), np.float64).view(np.uint64))
    if pa.types.is_integer(values.type) or pa.types.is_temporal(values.type):
        return spread(np.asarray(values.cast(pa.int64()).to_numpy(zero_copy_only=False)).astype(np.uint64))
    import polars

    series = polars.from_arrow(values.cast(pa.large_string()))
    return np.asarray(series.hash(0).to_numpy(), np.uint64)  # type: ignore[union-attr]  # of an array it is a series


def spread(numbers: Hashes) -> Hashes:
    """Numbers to evenly spread ones: the finaliser of splitmix64 (Steele, Lea and Flood 2014)."""
    mixed = numbers + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(mixed ^ (mixed >> np.uint64(31)))
