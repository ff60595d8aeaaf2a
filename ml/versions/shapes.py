"""What a picture of a column in two batches shows: a histogram of numbers, or the share of each value. Pure."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ml.drift import Cells
from ml.problem import FeatureType
from ml.profile import ColumnProfile

BINS = 30
MISSING = "missing"
Shares = dict[str, tuple[float, float]]


@dataclass(frozen=True)
class Histogram:
    """Shares of all rows in bins of equal width: `edges` are one more than `before` and `after`; what lies outside the
    middle 98 % counts in the outermost bins, so that one strange value does not flatten the picture.
    """

    edges: tuple[float, ...]
    before: tuple[float, ...]
    after: tuple[float, ...]


def histogram(kind: FeatureType, before: pa.ChunkedArray, after: pa.ChunkedArray) -> Histogram | None:
    """Of numbers, and of the lengths of texts; None for other kinds, and where nothing varies."""
    if kind not in ("number", "text"):
        return None
    old, new = (_numbers(column, kind) for column in (before, after))
    both = np.concatenate([old, new])
    if not len(both):
        return None
    low, high = np.quantile(both, [0.01, 0.99])
    whole = bool((both == np.floor(both)).all()) and high - low < BINS
    edges = np.arange(low - 0.5, high + 1) if whole else np.linspace(low, high, BINS + 1)
    if high == low:
        return None
    counts = [
        np.histogram(np.clip(one, edges[0], edges[-1]), edges)[0] / max(len(column), 1)
        for one, column in zip((old, new), (before, after), strict=True)
    ]
    return Histogram(*(tuple(one.tolist()) for one in (edges, *counts)))


def value_shares(old: ColumnProfile, new: ColumnProfile) -> Shares:
    """Every value under its own name, also new and gone ones, and the missing ones; exact."""
    counts = [one.values | ({MISSING: one.num_null} if one.num_null else {}) for one in (old, new)]
    sizes = max(old.num_rows, 1), max(new.num_rows, 1)
    return {value: (counts[0].get(value, 0) / sizes[0], counts[1].get(value, 0) / sizes[1]) for value in counts[0] | counts[1]}


def cell_shares(shared: Cells) -> Shares:
    """Every cell that drift is measured in."""
    counts = shared.counts
    parts = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    return {cell: (float(parts[0, number]), float(parts[1, number])) for number, cell in enumerate(shared.names)}


def _numbers(column: pa.ChunkedArray, kind: FeatureType) -> npt.NDArray[np.float64]:
    """Finite values, or lengths in characters."""
    values = pc.utf8_length(column.cast(pa.string())) if kind == "text" else column
    found = np.asarray(values.drop_null().cast(pa.float64()).to_numpy(), np.float64)
    return found[np.isfinite(found)]
