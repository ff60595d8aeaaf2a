"""How far two samples lie apart, and how well chance explains it."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ml.drift import days
from ml.drift.cells import EXPECTED, Cells, Floats, Ints
from ml.drift.days import INDEPENDENT, Usual

LEAST = 1e-300  # a p-value that has a finite chi-square statistic


@dataclass(frozen=True)
class Shift:
    """How far two samples lie apart (distance, 0 to 1) and how well chance explains it."""

    distance: float
    p_value: float

    def exceeds(self, effect: float, level: float) -> bool:
        """Whether the shift is large enough to matter and too unlikely for chance."""
        return self.distance >= effect and self.p_value < level


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


def p_value(reference: npt.ArrayLike, current: npt.ArrayLike, known: Usual = INDEPENDENT) -> float:
    """How often two samples of one distribution differ at least as much: chi-square test of homogeneity (Pearson 1900).

    The test needs about five expected rows per cell. Thinner cells are put together; if they still are too thin they
    are compared with all others by Fisher's exact test, and the smaller p-value counts twice (Bonferroni). So one
    request with an unheard-of value raises no alarm, and twenty do.

    Args:
        reference: counts, shape (k,).
        current: counts, shape (k,).
        known: how days of the reference differ; without it rows count as independent.
    Returns: 0 to 1; 1 when a sample is empty or all rows lie in one cell; symmetric for independent rows.
    """
    table = np.stack([np.asarray(reference, np.int64), np.asarray(current, np.int64)])
    table = table[:, table.sum(axis=0) > 0]
    if table.sum(axis=1).min() == 0 or table.shape[1] < 2:
        return 1.0
    sizes = int(table[0].sum()), int(table[1].sum())
    found = [float(known.p_value(statistic, freedom, sizes)) for statistic, freedom in _tests(table)]
    return min(1.0, len(found) * min(found))


def shift(found: Cells, known: Usual = INDEPENDENT) -> Shift:
    """Distance and p-value of two samples in cells."""
    reference, current = found.counts
    return Shift(distance(reference, current), p_value(reference, current, known))


def _tests(table: Ints) -> Iterator[tuple[float, int]]:
    """Statistics with their degrees of freedom; at least one."""
    thin = _expected(table) < EXPECTED
    merged = np.column_stack([table[:, ~thin], table[:, thin].sum(axis=1)]) if thin.any() else table
    if merged.shape[1] > 1 and _expected(merged).min() >= EXPECTED:
        yield float(days.chi_square(*merged)), merged.shape[1] - 1
        return
    if not thin.all():
        yield _fisher(np.column_stack([table[:, ~thin].sum(axis=1), table[:, thin].sum(axis=1)])), 1
    full = table[:, ~thin]
    if full.shape[1] > 1 and full.sum(axis=1).min() > 0:  # a sample that lies in thin cells only says nothing about the others
        yield float(days.chi_square(*full)), full.shape[1] - 1
    elif thin.all():
        yield 0.0, 1


def _kullback_leibler(p: Floats, q: Floats) -> float:
    """In bits; a cell without rows adds nothing."""
    filled = p > 0
    return float((p[filled] * np.log2(p[filled] / q[filled])).sum())


def _expected(table: Ints) -> Floats:
    """Expected rows per cell of the smaller sample, were both one distribution."""
    sizes = table.sum(axis=1)
    return np.asarray(table.sum(axis=0) * (sizes.min() / sizes.sum()))


def _fisher(table: Ints) -> float:
    """Fisher's exact test, as the chi-square statistic with one degree of freedom that has its p-value."""
    from scipy.special import chdtri
    from scipy.stats import fisher_exact

    return float(chdtri(1, np.clip(fisher_exact(table).pvalue, LEAST, 1.0)))
