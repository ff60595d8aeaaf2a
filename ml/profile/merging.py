"""Profiles of days put together into the profile of a window."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import numpy as np

from ml.errors import DataError
from ml.profile.accumulator import top
from ml.profile.record import GRID, SKETCH, ColumnProfile, Profile
from ml.profile.sketch import Sketch
from ml.profile.texts import SHAPES

T = TypeVar("T")


def merge(profiles: Sequence[Profile]) -> Profile:
    """The profile of all rows of several profiles.

    Counts, extremes and means come out exact (of listed values: as far as each day lists them). Quantiles are those of the
    mixture of the days' distributions, each taken as straight between its quantiles. A column that some profiles lack is
    that of the others; the texts of two profiles count as different ones.

    Raises: DataError: a column is of different kinds.
    """
    names = list(dict.fromkeys(name for profile in profiles for name in profile.columns))
    columns = {
        name: merge_columns([profile.columns[name] for profile in profiles if name in profile.columns], name) for name in names
    }
    return Profile(num_rows=sum(profile.num_rows for profile in profiles), columns=columns)


def scaled(part: ColumnProfile, factor: float) -> ColumnProfile:
    """The same column with fewer rows, so that it counts less in a merge; a listed value keeps at least one row."""

    def less(counts: dict[str, int]) -> dict[str, int]:
        return {value: max(1, round(count * factor)) for value, count in counts.items()}

    num_rows = round(part.num_rows * factor)
    counted = {name: round(getattr(part, name) * factor) for name in ("num_zero", "num_negative", "num_nan", "num_inf")}
    bins = {name: tuple(round(count * factor) for count in getattr(part, name)) for name in ("hours", "weekdays")}
    listed = {"values": less(part.values), "shapes": less(part.shapes)}
    return part.model_copy(
        update={"num_rows": num_rows, "num_null": min(num_rows, round(part.num_null * factor)), **counted, **bins, **listed}
    )


def merge_columns(parts: Sequence[ColumnProfile], name: str) -> ColumnProfile:
    """One column of several profiles put together.

    Raises: DataError: they are of different kinds.
    """
    kinds = sorted({part.kind for part in parts})
    if len(kinds) > 1:
        raise DataError(f"Column {name} is {' in one profile and '.join(kinds)} in another; they cannot be put together.")
    if len(parts) == 1:
        return parts[0]
    fields = _counted(parts) | _distributed(parts) | _different(parts)
    return ColumnProfile(kind=parts[0].kind, arrow=parts[0].arrow, **fields)


def _counted(parts: Sequence[ColumnProfile]) -> dict[str, Any]:
    """What adds up, and extremes."""
    added = ("num_rows", "num_null", "num_days", "num_zero", "num_negative", "num_nan", "num_inf")
    return {name: sum(getattr(part, name) for part in parts) for name in added} | {
        "values": top(_sum(part.values for part in parts)),
        "shapes": top(_sum(part.shapes for part in parts), SHAPES),
        "hours": _bins([part.hours for part in parts]),
        "weekdays": _bins([part.weekdays for part in parts]),
        "first": _known(min, [part.first for part in parts]),
        "last": _known(max, [part.last for part in parts]),
        "day_nulls": _widest([part.day_nulls for part in parts]),
        "day_medians": _widest([part.day_medians for part in parts]),
        "whole": all(part.whole for part in parts if part.quantiles) and any(part.quantiles for part in parts),
    }


def _distributed(parts: Sequence[ColumnProfile]) -> dict[str, Any]:
    """Means, shares and quantiles of the mixture."""
    mean, std = _moments(parts)
    return {
        "mean": mean,
        "std": std,
        "quantiles": _mixture([(part.quantiles, _num_finite(part)) for part in parts]),
        "gaps": _mixture([(part.gaps, part.num_present) for part in parts]),
        "lengths": _mixture([(part.lengths, part.num_present) for part in parts]),
        "marks": _shares([(part.marks, part.num_present) for part in parts]),
    }


def _different(parts: Sequence[ColumnProfile]) -> dict[str, Any]:
    """How many different values there are in all."""
    sketch = Sketch(SKETCH)
    for part in parts:
        sketch.unite(np.asarray(part.sketch, np.uint64))
    distinct = sum(part.distinct for part in parts) if parts[0].kind == "text" else sketch.distinct()
    return {
        "distinct": max([distinct, *(part.distinct for part in parts)]),
        "sketch": tuple(int(one) for one in sketch.hashes),
    }


def _num_finite(part: ColumnProfile) -> int:
    return part.num_present - part.num_nan - part.num_inf


def _sum(counted: Iterable[dict[str, int]]) -> Counter[str]:
    total: Counter[str] = Counter()
    for counts in counted:
        total.update(counts)
    return total


def _bins(counted: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    return tuple(sum(column) for column in zip(*filter(None, counted), strict=True))


def _known(choose: Callable[[list[T]], T], values: Sequence[T | None]) -> T | None:
    known = [value for value in values if value is not None]
    return choose(known) if known else None


def _moments(parts: Sequence[ColumnProfile]) -> tuple[float | None, float | None]:
    """Mean and deviation of parts put together; None where one of them has none."""
    filled = [part for part in parts if part.quantiles]
    if not filled or any(part.mean is None or part.std is None for part in filled):
        return None, None
    weights = np.array([_num_finite(part) for part in filled], np.float64)
    means, stds = (np.array([getattr(part, name) for part in filled], np.float64) for name in ("mean", "std"))
    mean = float(np.average(means, weights=weights))
    return mean, float(np.sqrt(np.average(stds**2 + (means - mean) ** 2, weights=weights)))


def _widest(spreads: Sequence[tuple[float, float] | None]) -> tuple[float, float] | None:
    known = [spread for spread in spreads if spread]
    return (min(low for low, _ in known), max(high for _, high in known)) if known else None


def _shares(parts: Sequence[tuple[dict[str, float], int]]) -> dict[str, float]:
    filled = [(marks, weight) for marks, weight in parts if marks]
    total = sum(weight for _, weight in filled)
    return {name: sum(marks[name] * weight for marks, weight in filled) / total for name in filled[0][0]} if total else {}


def _mixture(parts: Sequence[tuple[tuple[float, ...] | None, int]]) -> tuple[float, ...] | None:
    """Quantiles of a mixture: the smallest value below which enough of the weighted distributions lies."""
    filled = [(np.asarray(found), weight) for found, weight in parts if found and weight]
    if not filled:
        return None
    knots = np.unique(np.concatenate([found for found, _ in filled]))
    total = sum(weight for _, weight in filled)
    below = sum(weight * _share_up_to(found, knots) for found, weight in filled) / total
    jump = sum(weight * _share_below(found, knots) for found, weight in filled) / total
    # Between two knots the distribution is straight; at a knot it may jump.
    axis, values = np.ravel(np.column_stack([jump, below])), np.repeat(knots, 2)
    return (float(knots[0]), *np.interp(GRID[1:-1], np.maximum.accumulate(axis), values).tolist(), float(knots[-1]))


def _share_up_to(found: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Share of a distribution that is at most `at`, given its quantiles at GRID."""
    values, last = np.unique(found[::-1], return_index=True)
    return np.asarray(np.interp(at, values, np.asarray(GRID)[len(found) - 1 - last], left=0.0, right=1.0))


def _share_below(found: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Share of a distribution that is less than `at`."""
    values, first = np.unique(found, return_index=True)
    return np.asarray(np.interp(at, values, np.asarray(GRID)[first], left=0.0, right=1.0))
