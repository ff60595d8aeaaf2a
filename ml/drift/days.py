"""How much one day usually differs from the others: what a test must allow for before it calls a day different.

Rows of one day belong together: a storm, a holiday, a campaign moves them all. A test that takes them as independent
calls nearly every day different. So each day of the reference is first compared with its other days, and the statistic
of today is divided by what such a day is usually worth: the first-order correction of Rao and Scott (1981, Journal of
the American Statistical Association 76, 221-230; 1984, Annals of Statistics 12, 46-60), with an F distribution in place
of the chi-square one because the correction is estimated from a limited number of days. Some days stand out by nature,
and their share cannot be read from a few dozen days: a second test asks whether today stands out among the logarithms of
the days' own statistics, which has a heavier tail. The larger of both p-values counts.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ml.drift.cells import Floats, Ints

Days = npt.NDArray[np.datetime64]
FEWEST_DAYS = 5  # with fewer, rows are taken as independent, as the evaluation does
FEWEST_ROWS = 20  # a day with fewer rows says nothing about days
RESTED = 0.3  # added before the logarithm: a day that happens to be just like the others is no sign of calm
VARIES = 20.0  # most that the days' part of a statistic varies; what one direction gives is 2
POWER = 0.8  # of equal shifts, the share that `smallest` means by "would be seen"
NATURAL = 8 * math.log(2)  # a small squared distance (base 2) is about the chi-square statistic per row over this


@dataclass(frozen=True)
class Usual:
    """How days of the reference differ; as it stands here, not beyond the chance of their rows.

    between: variance of a cell's share from day to day, over share (1 - share): the correlation of two rows of a day.
    varies: squared coefficient of variation of the days' part; 2 where days move in one direction, less in several.
    spread: sum of squared shares of the days, so that the reference's own days count with their part.
    logs: mean and standard deviation of the logarithms of the days' statistics over what is usual.
    """

    num_days: int = 0
    between: float = 0.0
    varies: float = 0.0
    spread: float = 0.0
    logs: tuple[float, float] = (0.0, 1.0)

    def design_effect(self, sizes: tuple[int, int]) -> float:
        """How many times larger than for independent rows a statistic of a day is expected to be.

        Args:
            sizes: rows of the reference and of the day.
        """
        return 1 + self.between * (1 + self.spread) * float(_harmonic(*sizes))

    def directions(self, freedom: int, sizes: tuple[int, int]) -> float:
        """Degrees of freedom that a statistic of a day has in truth, by how much it varies (Satterthwaite 1946)."""
        return min(float(freedom), 2 / _variation(self.design_effect(sizes) - 1, freedom, self.varies))

    def p_value(self, statistic: npt.ArrayLike, freedom: int, sizes: tuple[int, int]) -> Floats:
        """How often a usual day has a chi-square statistic at least as large.

        Args:
            statistic: any shape.
            freedom: degrees of freedom that the statistic has for independent rows.
            sizes: rows of the reference and of the day.
        """
        from scipy.special import chdtrc, fdtrc, stdtr

        found = np.asarray(statistic, np.float64)
        if not self.num_days:
            return np.asarray(chdtrc(freedom, found))
        ratio, directions = found / freedom / self.design_effect(sizes), self.directions(freedom, sizes)
        by_shares = fdtrc(directions, directions * self.num_days, ratio)
        mean, deviation = self.logs
        stands_out = (np.log(RESTED + ratio) - mean) / (deviation * math.sqrt(1 + 1 / self.num_days))
        return np.asarray(np.maximum(by_shares, stdtr(self.num_days - 1, -stands_out)))


INDEPENDENT = Usual()


def chi_square(reference: npt.ArrayLike, current: npt.ArrayLike) -> Floats:
    """Pearson's statistic of homogeneity of two samples in cells.

    X2 = n m sum_i (a_i / n - b_i / m)^2 / (a_i + b_i), which for two rows is the usual sum over both.

    Args:
        reference: counts, shape (..., k).
        current: counts, shape (..., k), broadcast against the reference.
    Returns: shape (...); its freedom is the number of filled cells less one.
    """
    before, now = np.asarray(reference, np.float64), np.asarray(current, np.float64)
    n, m = before.sum(axis=-1, keepdims=True), now.sum(axis=-1, keepdims=True)
    both = before + now
    gaps = np.divide((before * m - now * n) ** 2, both, out=np.zeros(both.shape), where=both > 0)
    return np.asarray(gaps.sum(axis=-1) / (n * m)[..., 0])


def usual(counts: Ints) -> Usual:
    """What the days of the reference say about days.

    A day's statistic over its freedom is expected to be 1 + between * c, where c grows with its rows: solved for
    `between` over all days. What is left of the variance of the statistics is that of the days.

    Args:
        counts: rows per day and cell, shape (days, cells).
    """
    filled = counts[counts.sum(axis=1) >= FEWEST_ROWS]
    filled = filled[:, filled.sum(axis=0) > 0]
    sizes, total, freedom = filled.sum(axis=1).astype(np.float64), float(filled.sum()), filled.shape[1] - 1
    if len(filled) < FEWEST_DAYS or freedom < 1:
        return INDEPENDENT
    found = chi_square(filled.sum(axis=0) - filled, filled) / freedom
    rest = (sizes @ sizes - sizes**2) / (total - sizes) ** 2
    grows = (1 + rest) * _harmonic(total - sizes, sizes)
    between = max(0.0, float((found - 1).sum() / grows.sum()))
    ratio = found / (1 + between * grows)
    logs = np.log(RESTED + ratio)
    return Usual(
        num_days=len(filled),
        between=between,
        varies=_days_part(ratio, between * float(grows.mean()), freedom),
        spread=float(sizes @ sizes) / total**2,
        logs=(float(logs.mean()), max(float(logs.std(ddof=1)), 1e-9)),
    )


def by_day(codes: Ints, days: Days, num_cells: int, *, length: int = 1) -> Ints:
    """Rows per span of `length` days and cell, shape (spans, cells); spans are counted back from the last day.

    With too few spans of several days it is single days: they differ more than longer spans do, so that is only calmer.
    """
    number = (days.max() - days).astype("timedelta64[D]").astype(np.int64) // length if len(days) else np.zeros(0, np.int64)
    spans, place = np.unique(number, return_inverse=True)
    if length > 1 and len(spans) < 2 * FEWEST_DAYS:
        return by_day(codes, days, num_cells)
    return np.bincount(place * num_cells + codes, minlength=len(spans) * num_cells).reshape(len(spans), num_cells)


def smallest(known: Usual, freedom: int, sizes: tuple[int, int], level: float) -> float:
    """The shift that so many rows would show in four days of five, as a Jensen-Shannon distance.

    The noncentrality at which the statistic passes its limit with that power, turned into a distance. A shift the way
    days move anyway must be larger.

    Args:
        sizes: rows of reference and current.
        level: of the test.
    Returns: 0 to 1; 1 where hardly any shift would be seen.
    """
    from scipy.special import chndtrinc

    if min(sizes) == 0 or freedom < 1:
        return 1.0
    usually, directions = freedom * known.design_effect(sizes), known.directions(freedom, sizes)
    ratios = np.geomspace(0.1, 1e6, 2000)
    passed = known.p_value(ratios * usually, freedom, sizes) < level
    if not passed.any():
        return 1.0
    apart = float(chndtrinc(ratios[int(passed.argmax())] * directions, directions, 1 - POWER)) * usually / directions
    found = math.sqrt(apart / (NATURAL * float(_harmonic(*sizes))))
    return min(1.0, found) if math.isfinite(found) else 1.0


def _variation(effect: float, freedom: int, varies: float) -> float:
    """Squared coefficient of variation of a day's statistic: chance of its rows, and the days' part `effect`."""
    return (2 / freedom + 4 * effect / freedom + effect**2 * varies) / (1 + effect) ** 2


def _days_part(ratio: Floats, effect: float, freedom: int) -> float:
    """`_variation` solved for `varies`."""
    if effect == 0:
        return 0.0
    varies = float(ratio.var(ddof=1)) / float(ratio.mean()) ** 2
    left = varies * (1 + effect) ** 2 - 2 / freedom - 4 * effect / freedom
    return min(max(0.0, left / effect**2), VARIES)


def _harmonic(reference: npt.ArrayLike, current: npt.ArrayLike) -> Floats:
    """Rows that two samples are worth in a comparison: n m / (n + m)."""
    n, m = np.asarray(reference, np.float64), np.asarray(current, np.float64)
    return np.asarray(n * m / (n + m))
