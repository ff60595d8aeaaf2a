"""How far a day lies outside what was usual: pure arithmetic on profiles of days, one function per rule.

What was usual is the range of the days before, its outer twentieths left out, so that a column that always swings (weather) may
swing, and one that never moved may not. What chance alone does to a day of so few rows is taken off.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import date, timedelta
from statistics import median

import numpy as np
import numpy.typing as npt

from ml.drift import distance
from ml.profile import GRID, ColumnProfile, Profile
from ml.profile.record import TOP

Floats = npt.NDArray[np.float64]
Trailing = Mapping[date, Profile]
SURE = 3.0  # standard errors that chance may move a share


@dataclass(frozen=True)
class Reading:
    """One number of one day beside those of the days before.

    `excess` is how far it lies outside `low` to `high`, in the unit of the rule's limit.
    """

    column: str | None
    day: date
    value: float
    low: float
    high: float
    excess: float
    unit: str
    days: tuple[date, ...] = ()
    values: tuple[float, ...] = ()


def row_count(day: date, today: Profile, trailing: Trailing) -> Reading | None:
    """Rows against the median of the same weekday; days without rows count as zero.

    excess = 1 - min(n, m) / max(n, m): 0.5 is half as many or twice as many, 1 is none where there were some or some where
    there were none.
    """
    first = min(trailing)
    days = [one for one in (day - timedelta(weeks=week) for week in range(1, 54)) if one >= first]
    counts = [trailing[one].num_rows if one in trailing else 0 for one in days]
    if len(days) < 2:
        return None
    usual, now = float(median(counts)), float(today.num_rows)
    excess = 1 - min(now, usual) / max(now, usual) if max(now, usual) > 0 else 0.0
    return _reading(None, day, now, (usual, usual, excess), "rows", list(zip(days, map(float, counts), strict=True)))


def nulls(day: date, today: Profile, trailing: Trailing, columns: Iterable[str]) -> list[Reading]:
    """Share of rows without a value, per column."""
    return [
        _share(name, day, lambda one: one.null_share, (today.columns[name], _of(trailing, name)), lambda one: one.num_rows)
        for name in columns
        if name in today.columns and _of(trailing, name)
    ]


def class_balance(day: date, today: Profile, trailing: Trailing, label: str, minimum_rows: int) -> Reading | None:
    """Share of positive labels among the rows that have one."""
    known = {one: found for one, found in _of(trailing, label).items() if found.num_present >= minimum_rows}
    now = today.columns.get(label)
    if now is None or now.num_present < minimum_rows or not known:
        return None
    return _share(label, day, _positive, (now, known), lambda one: one.num_present)


def new_categories(day: date, today: Profile, trailing: Trailing) -> list[Reading]:
    """Share of rows with a value that no day before had, per category; usual is what each day before had for itself.

    Columns with more than 200 values on a day are left out: their profiles do not list them all.
    """
    found = []
    for name, now in today.columns.items():
        past = _of(trailing, name)
        if now.kind != "category" or not past or max(one.distinct for one in [now, *past.values()]) > TOP:
            continue
        seen = Counter(value for one in past.values() for value in one.values)
        once = {value for value, times in seen.items() if times == 1}
        own = {one: _listed_share(held, once) for one, held in past.items() if held.num_rows}
        value = _listed_share(now, set(now.values) - set(seen))
        high = _high(own.values())
        found.append(_reading(name, day, value, (0.0, high, value - high - _chance(value, now.num_rows)), "", list(own.items())))
    return found


def distribution(day: date, today: Profile, trailing: Trailing, columns: Iterable[str]) -> list[Reading]:
    """Jensen-Shannon distance between a day and the days before, per column; usual is that of each of these days."""
    found = []
    for name in columns:
        past = {one: held for one, held in _of(trailing, name).items() if held.num_present}
        now = today.columns.get(name)
        if now is None or not now.num_present or not past:
            continue
        shares = _shares([now, *past.values()])
        if shares is None:
            continue
        weights = np.array([one.num_present for one in past.values()], np.float64)
        pooled = weights @ shares[1:]
        far = [distance(pooled, row * size) for row, size in zip(shares, [now.num_present, *weights], strict=True)]
        high = _high(far[1:])
        found.append(_reading(name, day, far[0], (0.0, high, far[0] - high), "", list(zip(past, far[1:], strict=True))))
    return found


def freshness(day: date, hours: float, usual_delay: float) -> Reading:
    """Hours from the newest event to the end of the window, beyond the usual delay of the source."""
    return _reading(None, day, hours, (0.0, usual_delay, hours - usual_delay), "hours", [])


def _share(
    name: str,
    day: date,
    of: Callable[[ColumnProfile], float],
    sides: tuple[ColumnProfile, Mapping[date, ColumnProfile]],
    size: Callable[[ColumnProfile], int],
) -> Reading:
    now, past = sides
    usual = {one: of(held) for one, held in past.items() if size(held)}
    value, low, high = of(now), _low(usual.values()), _high(usual.values())
    outside = max(low - value, value - high, 0.0)
    return _reading(name, day, value, (low, high, outside - _chance(value, size(now))), "", list(usual.items()))


def _reading(
    column: str | None, day: date, value: float, usual: tuple[float, float, float], unit: str, past: Sequence[tuple[date, float]]
) -> Reading:
    ordered = sorted(past)
    low, high, excess = usual
    told = tuple(one for one, _ in ordered), tuple(number for _, number in ordered)
    return Reading(column, day, value, low, high, max(excess, 0.0), unit, *told)


def _of(trailing: Trailing, name: str) -> dict[date, ColumnProfile]:
    return {day: profile.columns[name] for day, profile in trailing.items() if name in profile.columns}


def _positive(column: ColumnProfile) -> float:
    return column.values.get("true", 0) / column.num_present if column.num_present else 0.0


def _listed_share(column: ColumnProfile, which: Set[str]) -> float:
    return sum(times for value, times in column.values.items() if value in which) / column.num_rows if column.num_rows else 0.0


def _chance(share: float, num_rows: int) -> float:
    """What chance may do to a share of so many rows: three standard errors, of at least one row in so many."""
    if num_rows == 0:
        return 1.0
    share = min(max(share, 1 / num_rows), 1 - 1 / num_rows)
    return SURE * math.sqrt(max(share * (1 - share), 0.0) / num_rows)


def _low(values: Iterable[float]) -> float:
    return float(np.quantile(list(values) or [0.0], 0.05, method="lower"))


def _high(values: Iterable[float]) -> float:
    return float(np.quantile(list(values) or [0.0], 0.95, method="higher"))


def _shares(parts: Sequence[ColumnProfile]) -> Floats | None:
    """Per profile the share of its values in each of a few bins that the profiles have in common; None where there are none.

    Numbers and lengths of texts: bins between tenths of all profiles' quantiles. Categories and booleans: the listed values
    and one bin for the rest. Moments: hours of the day.
    """
    kind = parts[0].kind
    if any(one.kind != kind for one in parts):
        return None
    if kind == "datetime":
        return _normal([one.hours or (0,) * 24 for one in parts])
    if kind in ("category", "boolean"):
        names = sorted({value for one in parts for value in one.values})
        listed = [[one.values.get(name, 0) for name in names] for one in parts]
        rest = [max(one.num_present - sum(counts), 0) for one, counts in zip(parts, listed, strict=True)]
        return _normal([[*counts, more] for counts, more in zip(listed, rest, strict=True)])
    quantiles = [one.quantiles if kind == "number" else one.lengths for one in parts]
    if any(one is None for one in quantiles):
        return None
    grids = np.array(quantiles, np.float64)
    edges = np.unique(np.quantile(grids[1:], np.arange(1, 10) / 10))
    return _normal([np.diff([0.0, *_below(grid, edges), 1.0]) for grid in grids])


def _below(quantiles: Floats, edges: Floats) -> Floats:
    """Share of values at most as large as each edge, straight between quantiles."""
    place = np.searchsorted(quantiles, edges, side="right")
    inside = (place > 0) & (place < len(quantiles))
    at = np.clip(place, 1, len(quantiles) - 1)
    low, high = quantiles[at - 1], quantiles[at]
    part = np.divide(edges - low, high - low, out=np.zeros(len(edges)), where=high > low)
    grid = np.asarray(GRID)
    return np.where(inside, grid[at - 1] + np.clip(part, 0, 1) * (grid[at] - grid[at - 1]), (place > 0).astype(np.float64))


def _normal(counts: Sequence[Sequence[float] | Floats]) -> Floats:
    table = np.array(counts, np.float64)
    return np.asarray(table / np.maximum(table.sum(axis=1, keepdims=True), 1e-12))
