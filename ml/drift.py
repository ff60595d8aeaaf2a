"""Have the values moved, and by how much? Two samples are counted in the same cells and the counts are compared.

Two numbers answer two questions, and only both together call a column drifted: the Jensen-Shannon distance says how
large the shift is, the p-value whether chance explains it. Alone, a distance cries wolf on a few hundred rows (it is
biased upwards) and a p-value on many thousands (every hair's breadth is significant).

Evidently measures the same distance for the report; the decision does not rest on its methods, because they drop
missing values first, cut numbers into bins of equal width (one outlier empties all others), fail on a column without
values, and switch method with the number of rows. A test holds both against each other on the same cells.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ml.problem import Feature

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
MISSING, RARE, UNSEEN = "missing", "rare", "unseen"
BINS = 10  # deciles: a shift of one standard deviation has distance 0.4, and 200 rows still fill every bin
EXPECTED = 5  # fewest expected rows of a cell in a chi-square test (Cochran 1954, Biometrics 10, 417-451)
WORD = "[A-Za-z0-9]+"


@dataclass(frozen=True)
class Cells:
    """Two samples in the same cells: `reference` and `current` hold a cell number per row, shapes (n,) and (m,)."""

    names: tuple[str, ...]
    reference: Ints
    current: Ints

    @property
    def counts(self) -> Ints:
        """Rows per cell, shape (2, cells): reference, then current."""
        return np.stack([np.bincount(codes, minlength=len(self.names)) for codes in (self.reference, self.current)])

    def share(self, name: str) -> float:
        """Share of the current rows in a cell, 0 for a cell that is not there."""
        if name not in self.names or len(self.current) == 0:
            return 0.0
        return float((self.current == self.names.index(name)).mean())


@dataclass(frozen=True)
class Shift:
    """How far two samples lie apart (distance, 0 to 1) and how well chance explains it."""

    distance: float
    p_value: float

    def exceeds(self, effect: float, level: float) -> bool:
        """Whether the shift is large enough to matter and too unlikely for chance."""
        return self.distance >= effect and self.p_value < level


def cells(reference: pa.ChunkedArray, current: pa.ChunkedArray, feature: Feature, *, timezone: str) -> Cells:
    """Cut one column into cells that the reference defines; missing values have a cell of their own.

    Numbers go by the reference's deciles, texts by their number of words, moments by the hour of the day in `timezone`
    (a later date is no drift: every request is later than the training rows), the rest by value.
    """
    kind = feature.type
    if kind in ("number", "text"):
        return number_cells(_numbers(reference, kind), _numbers(current, kind))
    return _value_cells(_values(reference, feature, timezone), _values(current, feature, timezone))


def number_cells(reference: Floats, current: Floats) -> Cells:
    """Cells of two samples of numbers by the reference's deciles; a value that fills a whole decile gets its own cell.

    Args:
        reference: shape (n,); NaN is missing, infinities count in the outermost cells.
        current: shape (m,).
    """
    edges = _edges(reference[np.isfinite(reference)])
    names = (*_interval_names(edges), MISSING)
    return Cells(names, _number_codes(reference, edges), _number_codes(current, edges))


def unseen(reference: pa.ChunkedArray, current: pa.ChunkedArray, feature: Feature, *, timezone: str, most: int = 3) -> list[str]:
    """The most frequent current values that the reference never held, as the cells see them (a zip by its prefix)."""
    values, known = (_values(column, feature, timezone).drop_null() for column in (current, reference))
    new = values.filter(pc.invert(pc.is_in(values, known))).value_counts()
    order = np.argsort(-np.asarray(new.field("counts"), np.int64), kind="stable")[:most]
    return [str(value) for value in new.field("values").take(pa.array(order)).to_pylist()]


def distance(reference: npt.ArrayLike, current: npt.ArrayLike) -> float:
    """Jensen-Shannon distance of two samples counted in the same cells, with logarithms to base 2.

    JSD = KL(p, m) / 2 + KL(q, m) / 2 with m = (p + q) / 2; the distance is its square root, a metric (Endres and
    Schindelin 2003, IEEE Transactions on Information Theory 49, 1858-1860).

    Args:
        reference: counts, shape (k,).
        current: counts, shape (k,).
    Returns: 0 (equal shares) to 1 (no cell in common); symmetric; 0 when a sample is empty.
    """
    p, q = np.asarray(reference, np.float64), np.asarray(current, np.float64)
    if p.sum() == 0 or q.sum() == 0:
        return 0.0
    p, q = p / p.sum(), q / q.sum()
    middle = (p + q) / 2
    divergence = (_kullback_leibler(p, middle) + _kullback_leibler(q, middle)) / 2
    return float(np.sqrt(np.clip(divergence, 0.0, 1.0)))


def p_value(reference: npt.ArrayLike, current: npt.ArrayLike) -> float:
    """How often two samples of one distribution differ at least as much: chi-square test of homogeneity (Pearson 1900).

    The test needs about five expected rows per cell. Thinner cells are put together; if they still are too thin they
    are compared with all others by Fisher's exact test, and the smaller p-value counts twice (Bonferroni). So one
    request with an unheard-of value raises no alarm, and twenty do.

    Args:
        reference: counts, shape (k,).
        current: counts, shape (k,).
    Returns: 0 to 1; symmetric; 1 when a sample is empty or all rows lie in one cell.
    """
    table = np.stack([np.asarray(reference, np.int64), np.asarray(current, np.int64)])
    table = table[:, table.sum(axis=0) > 0]
    if table.sum(axis=1).min() == 0 or table.shape[1] < 2:
        return 1.0
    thin = _expected(table) < EXPECTED
    merged = np.column_stack([table[:, ~thin], table[:, thin].sum(axis=1)]) if thin.any() else table
    if merged.shape[1] > 1 and _expected(merged).min() >= EXPECTED:
        return _chi_square(merged)
    tests = [_fisher(np.column_stack([table[:, ~thin].sum(axis=1), table[:, thin].sum(axis=1)]))] if not thin.all() else [1.0]
    full = table[:, ~thin]
    if full.shape[1] > 1 and full.sum(axis=1).min() > 0:  # a sample that lies in thin cells only says nothing about the others
        tests.append(_chi_square(full))
    return min(1.0, len(tests) * min(tests))


def shift(found: Cells) -> Shift:
    """Distance and p-value of two samples in cells."""
    reference, current = found.counts
    return Shift(distance(reference, current), p_value(reference, current))


def rate_gap(scores: Floats, labels: Floats) -> tuple[float, float]:
    """Calibration in the large: do the scores promise as many positives as there were?

    A z-test of the mean of score minus label; its standard error comes from the same differences, so nothing is
    assumed about single rows. Rows of one day move together, which makes the p-value too small: it never decides alone.

    Args:
        scores: shape (n,), n >= 1, probabilities.
        labels: shape (n,), 0 or 1.
    Returns: the mean score minus the observed rate, in probability, and the two-sided p-value.
    """
    differences = scores - labels
    gap = float(differences.mean())
    error = float(differences.std()) / math.sqrt(len(differences))
    if error == 0:
        return gap, 1.0 if gap == 0 else 0.0
    return gap, math.erfc(abs(gap / error) / math.sqrt(2))


def _kullback_leibler(p: Floats, q: Floats) -> float:
    """In bits; a cell without rows adds nothing."""
    filled = p > 0
    return float((p[filled] * np.log2(p[filled] / q[filled])).sum())


def _expected(table: Ints) -> Floats:
    """Expected rows per cell of the smaller sample, were both one distribution."""
    sizes = table.sum(axis=1)
    return np.asarray(table.sum(axis=0) * (sizes.min() / sizes.sum()))


def _chi_square(table: Ints) -> float:
    from scipy.stats import chi2_contingency

    return float(chi2_contingency(table, correction=False).pvalue)


def _fisher(table: Ints) -> float:
    from scipy.stats import fisher_exact

    return float(fisher_exact(table).pvalue)


def _numbers(column: pa.ChunkedArray, kind: str) -> Floats:
    """Numbers of a column, of words for texts; NaN where missing."""
    values = column
    if kind == "text":
        texts = column.cast(pa.string())
        values = pc.if_else(pc.equal(texts, ""), pa.scalar(None, pa.int32()), pc.count_substring_regex(texts, WORD))
    return np.asarray(values.cast(pa.float64()).fill_null(float("nan")).to_numpy(), np.float64)


def _edges(known: Floats) -> Floats:
    """Inner cuts between deciles; a value that is several deciles at once is cut off on both sides."""
    if len(known) == 0:
        return np.zeros(0)
    quantiles = np.quantile(known, np.linspace(0, 1, BINS + 1), method="inverted_cdf")
    values, times = np.unique(quantiles, return_counts=True)
    repeated = values[times > 1]
    inner = values[(values > quantiles[0]) & (values < quantiles[-1])]
    return np.unique(np.concatenate([inner, repeated, np.nextafter(repeated, np.inf)]))


def _interval_names(edges: Floats) -> list[str]:
    """Names of the cells that `edges` leave, in order and distinct; fewest digits that keep them apart."""
    if len(edges) == 0:
        return ["any value"]
    for digits in (4, 8, 17):
        texts = [f"{edge:.{digits}g}" for edge in edges]
        pairs = zip(edges[:-1], edges[1:], texts[:-1], texts[1:], strict=True)
        inner = [low if right == np.nextafter(left, np.inf) else f"{low} to {high}" for left, right, low, high in pairs]
        names = [f"below {texts[0]}", *inner, f"from {texts[-1]}"]
        if len(set(names)) == len(names):
            break
    return names


def _number_codes(values: Floats, edges: Floats) -> Ints:
    codes = np.searchsorted(edges, values, side="right")
    return np.where(np.isnan(values), len(edges) + 1, codes).astype(np.int64)


def _values(column: pa.ChunkedArray, feature: Feature, timezone: str) -> pa.Array:
    """Values of a column as strings, null where missing; the model, too, takes an empty string as missing."""
    if feature.type == "datetime":
        moments = column.cast(pa.timestamp("s", "UTC"), safe=False).cast(pa.timestamp("s", timezone))
        return _whole(pc.strftime(moments, "%H h"))
    texts = _whole(column).cast(pa.string())
    if feature.type == "zip":
        texts = pc.utf8_slice_codeunits(texts, 0, feature.prefix)
    return pc.if_else(pc.equal(texts, ""), pa.scalar(None, pa.string()), texts)


def _whole(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _value_cells(reference: pa.Array, current: pa.Array) -> Cells:
    """Cells of two samples of strings: frequent values one by one, then the rare, the unseen and the missing ones.

    A value is rare when the smaller sample would be expected to hold fewer than five of it: alone it could prove
    nothing, and hundreds of such cells would add up to a distance out of pure chance. A reference row is unseen when no
    other reference row has its value: where values have a long tail some new ones are normal, and the share of values
    met once estimates how many (Good 1953, Biometrika 40, 237-264). Counted as none, every such column drifts for ever.
    """
    seen = reference.drop_null().value_counts()
    values, counts = seen.field("values"), np.asarray(seen.field("counts"), np.int64)
    both = counts + _times(current, values)  # by both samples: chosen by the reference alone, thin cells favour it
    sizes = len(reference), len(current)
    order = np.argsort(-counts, kind="stable")
    enough = (both * (min(sizes) / max(sum(sizes), 1)) >= EXPECTED) & (counts > 1)
    frequent = values.take(pa.array(order[enough[order]]))
    names = (*(_distinct(name) for name in frequent.to_pylist()), RARE, UNSEEN, MISSING)
    repeated = values.filter(pa.array(counts > 1))
    return Cells(names, _value_codes(reference, frequent, repeated), _value_codes(current, frequent, values))


def _times(column: pa.Array, values: pa.Array) -> Ints:
    """How often each of some distinct values occurs in a column, shape (values,)."""
    places = pc.index_in(column, values, skip_nulls=True).drop_null().to_numpy(zero_copy_only=False)
    return np.bincount(places, minlength=len(values))


def _distinct(name: str) -> str:
    """A value that reads like one of our own cells must not fall together with it."""
    return f"{name!r}" if name in (RARE, UNSEEN, MISSING) else name


def _value_codes(column: pa.Array, frequent: pa.Array, seen: pa.Array) -> Ints:
    places = pc.index_in(column, frequent, skip_nulls=True).fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    known = pc.is_in(column, seen, skip_nulls=True).to_numpy(zero_copy_only=False)
    missing = column.is_null().to_numpy(zero_copy_only=False)
    rest = np.where(missing, len(frequent) + 2, np.where(known, len(frequent), len(frequent) + 1))
    return np.where(places >= 0, places, rest).astype(np.int64)
