"""Shares of positives with their uncertainty, by cell and by period."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ml.understand.columns import Bools, Column, Floats, Ints, cells

Z = 1.959964  # 95 %


class Rate(NamedTuple):
    """Positives among labelled rows, with the 95 % interval of Wilson (1927, JASA 22, 209-212)."""

    positives: int
    rows: int

    @property
    def value(self) -> float | None:
        """None where no row has a label."""
        return self.positives / self.rows if self.rows else None

    @property
    def interval(self) -> tuple[float, float]:
        """(0, 1) where no row has a label."""
        if not self.rows:
            return 0.0, 1.0
        share, spread = self.positives / self.rows, Z * Z / self.rows
        middle = (share + spread / 2) / (1 + spread)
        half = math.sqrt(share * (1 - share) * spread + spread * spread / 4) / (1 + spread)
        return max(0.0, middle - half), min(1.0, middle + half)


@dataclass(frozen=True)
class Rates:
    """A rate per name."""

    names: tuple[str, ...]
    rates: tuple[Rate, ...]


@dataclass(frozen=True)
class Periods:
    """Rates in time order: first day of each period since 1970, its rate, and all its rows, labelled or not."""

    days: Ints
    rates: tuple[Rate, ...]
    rows: tuple[int, ...]


def by_cell(names: tuple[str, ...], codes: Ints, labels: Floats) -> Rates:
    """The rate of each cell.

    Args:
        codes: shape (n,), places in `names`.
        labels: shape (n,), NaN where unknown.
    """
    known = ~np.isnan(labels)
    rows = np.bincount(codes[known], minlength=len(names))
    positives = np.bincount(codes[known], weights=labels[known], minlength=len(names))
    return Rates(names, tuple(Rate(int(one), int(all_)) for one, all_ in zip(positives, rows, strict=True)))


def auc_error(area: float, positives: int, negatives: int) -> float:
    """Standard error of an AUC (Hanley and McNeil 1982, Radiology 143, 29-36)."""
    if positives == 0 or negatives == 0:
        return float("nan")
    one, two = area / (2 - area), 2 * area * area / (1 + area)
    spread = area * (1 - area) + (positives - 1) * (one - area * area) + (negatives - 1) * (two - area * area)
    return math.sqrt(max(spread, 0.0) / (positives * negatives))


def explained_by_mix(columns: Sequence[Column], labels: Floats, before: Bools, after: Bools) -> tuple[str, float] | None:
    """Which column's changed mix of values explains most of a change of the rate, and the share of the change it explains.

    Direct standardisation: the rate that the later rows would have, had each value kept its earlier rate.

    Args:
        before: shape (n,), the earlier rows; after: the later ones; rows without a label are left out.
    Returns: None where nothing can be compared.
    """
    known = ~np.isnan(labels)
    earlier, later = before & known, after & known
    if not earlier.any() or not later.any():
        return None
    change = labels[later].mean() - labels[earlier].mean()
    best: tuple[str, float] | None = None
    for column in columns:
        codes = cells(column, most=100).codes
        size = int(codes.max(initial=0)) + 1
        rows = np.bincount(codes[earlier], minlength=size)
        rate = (np.bincount(codes[earlier], weights=labels[earlier], minlength=size) + labels[earlier].mean()) / (rows + 1)
        share = (rate[codes[later]].mean() - labels[earlier].mean()) / change if change else 0.0
        if best is None or share > best[1]:
            best = column.name, float(share)
    return best and (best[0], min(max(best[1], 0.0), 1.0))
