"""How strongly columns go together, whatever they hold: one number for each pair."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ml.understand.columns import Column, Floats, Ints, cells, numbers

MOST_COLUMNS, MOST_ROWS, VALUES = 24, 5000, 50
STRONG = 0.3  # pairs from here on are named


@dataclass(frozen=True)
class Associations:
    """`values` is symmetric, shape (k, k), NaN where a pair cannot be compared; signed only between two numbers."""

    names: tuple[str, ...]
    values: Floats

    def strongest(self, most: int = 8) -> list[tuple[str, str, float]]:
        """Pairs of columns, the strongest first, from STRONG on."""
        pairs = [
            (self.names[one], self.names[other], float(self.values[one, other]))
            for one in range(len(self.names))
            for other in range(one)
            if abs(self.values[one, other]) >= STRONG
        ]
        return sorted(pairs, key=lambda pair: -abs(pair[2]))[:most]


def associations(columns: Sequence[Column], labels: Floats, label: str) -> Associations:
    """Pairs among at most MOST_COLUMNS columns and the label.

    Two numbers: Spearman's rank correlation. Two categories: Cramér's V, corrected for chance (Bergsma 2013, Journal of
    the Korean Statistical Society 42, 323-328). A category and a number: the correlation ratio over ranks, corrected
    likewise. Texts count by their number of words, moments by the hour.
    """
    chosen = columns[:MOST_COLUMNS]
    ranked = {column.name: _ranks(numbers(column)) for column in chosen if column.kind not in ("category", "zip")}
    ranked[label] = _ranks(labels)
    coded = {column.name: _values(column) for column in chosen if column.kind in ("category", "zip")}
    names = (*(column.name for column in chosen), label)
    values = np.eye(len(names))
    for one in range(len(names)):
        for other in range(one):
            values[one, other] = values[other, one] = _pair(names[one], names[other], ranked, coded)
    return Associations(names, values)


def spearman(one: Floats, other: Floats) -> float:
    """Correlation of two columns of ranks (NaN is missing) over the rows that have both."""
    both = ~(np.isnan(one) | np.isnan(other))
    if both.sum() < 3 or one[both].std() == 0 or other[both].std() == 0:
        return float("nan")
    return float(np.corrcoef(one[both], other[both])[0, 1])


def cramers_v(one: Ints, other: Ints) -> float:
    """Cramér's V of two columns of codes (-1 is missing), corrected for chance."""
    both = (one >= 0) & (other >= 0)
    table = np.zeros((int(one.max(initial=0)) + 1, int(other.max(initial=0)) + 1))
    np.add.at(table, (one[both], other[both]), 1)
    table = table[table.sum(axis=1) > 0][:, table.sum(axis=0) > 0]
    rows, columns, size = len(table), table.shape[1], float(table.sum())
    if min(rows, columns) < 2 or size < 3:
        return float("nan")
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / size
    phi = max(0.0, ((table - expected) ** 2 / expected).sum() / size - (rows - 1) * (columns - 1) / (size - 1))
    smaller = min(rows - (rows - 1) ** 2 / (size - 1), columns - (columns - 1) ** 2 / (size - 1)) - 1
    return float(min(1.0, np.sqrt(phi / smaller))) if smaller > 0 else float("nan")


def correlation_ratio(codes: Ints, values: Floats) -> float:
    """How much of the spread of a number lies between the values of a category, 0 to 1, corrected for chance."""
    both = (codes >= 0) & ~np.isnan(values)
    groups, place = np.unique(codes[both], return_inverse=True)
    held = values[both]
    if len(groups) < 2 or len(held) <= len(groups) or held.std() == 0:
        return float("nan")
    means = np.bincount(place, weights=held) / np.bincount(place)
    within = ((held - means[place]) ** 2).sum() / (len(held) - len(groups))
    return float(np.sqrt(max(0.0, 1 - within / held.var(ddof=1))))


def _pair(one: str, other: str, ranked: dict[str, Floats], coded: dict[str, Ints]) -> float:
    if one in ranked and other in ranked:
        return spearman(ranked[one], ranked[other])
    if one in coded and other in coded:
        return cramers_v(coded[one], coded[other])
    return correlation_ratio(coded[one], ranked[other]) if one in coded else correlation_ratio(coded[other], ranked[one])


def _ranks(values: Floats) -> Floats:
    """Ranks from 1, ties share the mean of theirs, NaN stays NaN."""
    known = ~np.isnan(values)
    _, place, times = np.unique(values[known], return_inverse=True, return_counts=True)
    ranks = np.full(len(values), np.nan)
    ranks[known] = (np.cumsum(times) - (times - 1) / 2)[place]
    return ranks


def _values(column: Column) -> Ints:
    found = cells(column, most=VALUES)
    return np.where(found.codes == len(found.names) - 1, -1, found.codes)
