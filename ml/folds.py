"""Folds: how the rows before the test part take turns in judging, so that a validation score comes with its own noise.

`_fold` holds, per iteration, the fold in which a row judges, -1 for none. Two families share that form:

- in time order (holdout, rolling): what lies before a fold teaches it; holdout is the one fold of the validation part, rolling
  adds windows of the same length before it (rolling origin; Tashman 2000);
- in turns (kfold, iterated_kfold): all other rows teach; whole days, or whole groups, take turns. Iterated: several times, in
  another random order each (repeated k-fold).
"""

from collections.abc import Iterator
from datetime import date, timedelta
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ml.errors import DataError
from ml.problem import Split
from ml.tables import DAY

NEVER = -1
IN_TURNS = ("kfold", "iterated_kfold")
Mask = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]


class Fold(NamedTuple):
    """Which rows teach and which judge, boolean masks over all frozen rows, shape (n,)."""

    teaches: Mask
    judges: Mask


def column(rows: pa.Table, split: Split) -> pa.Array:
    """`_fold` for rows with `_part`, a list of one small integer per iteration.

    Raises: DataError: too few days or groups for so many folds.
    """
    part = rows["_part"].to_numpy().astype(str)
    learned = part != "test"
    if split.protocol in IN_TURNS:
        table = _turns(rows, learned, split)
    elif split.protocol == "rolling":
        table = _origins(_days(rows), part, split)[:, None]
    else:
        table = np.where(part == "validation", 0, NEVER)[:, None]
    table[~learned] = NEVER
    return pa.array(table.tolist(), pa.list_(pa.int16()))


def of(rows: pa.Table, split: Split) -> Iterator[Fold]:
    """Every fold of the frozen rows, in order; no row, key, group or gap day that judges has taught, and no test row does
    either.
    """
    table, part = np.array(rows["_fold"].to_pylist()), rows["_part"].to_numpy().astype(str)
    learned = np.isin(part, ("train", "validation"))
    day, group = _days(rows), rows["_group"].to_numpy() if split.group else None
    for turn in table.T:
        for number in np.unique(turn[turn >= 0]):
            judges = learned & (turn == number)
            teaches = learned & (turn != number if split.protocol in IN_TURNS else turn < number)
            if group is not None:
                teaches &= ~np.isin(group, group[judges])
            if not (group is not None and split.protocol in IN_TURNS):
                teaches &= ~_near(day, np.unique(day[judges]), split.gap_days)
            yield Fold(teaches, judges)


def refuse_thin(rows: pa.Table, split: Split) -> None:
    """Raise DataError when a fold leaves too few rows to learn from; gaps and groups may take most of them."""
    found = list(of(rows, split))
    for number, fold in enumerate(found, start=1):
        if (left := int(fold.teaches.sum())) < split.minimum_rows:
            raise DataError(
                f"Fold {number} of {len(found)} leaves {left} rows to learn from, fewer than [split] minimum_rows = "
                f"{split.minimum_rows}. Lower gap_days or folds, or choose another protocol or group."
            )


def _days(rows: pa.Table) -> Ints:
    """Days as numbers, shape (n,)."""
    return np.asarray(rows[DAY].to_numpy().astype("datetime64[D]").astype(np.int64))


def _near(day: Ints, judged: Ints, gap_days: int) -> Mask:
    """Rows on a judged day or within the gap around one."""
    near = np.unique((judged[:, None] + np.arange(-gap_days, gap_days + 1)).ravel())
    return np.isin(day, near)


def _turns(rows: pa.Table, learned: Mask, split: Split) -> Ints:
    """Whole days, or whole groups, cut into folds of about equal numbers of rows; shape (n, iterations)."""
    unit = rows["_group"].to_numpy() if split.group else _days(rows)
    units, place, counts = np.unique(unit[learned], return_inverse=True, return_counts=True)
    if len(units) < split.folds:
        what = f"values of {split.group!r}" if split.group else "days"
        raise DataError(
            f"{len(units)} {what} cannot be cut into {split.folds} folds. Lower [split] folds, or widen [source] history_days."
        )
    iterations = split.iterations if split.protocol == "iterated_kfold" else 1
    table = np.full((len(unit), iterations), NEVER, dtype=np.int64)
    for number in range(iterations):
        random = np.random.default_rng(number)
        shuffled = iterations > 1 or split.group  # the numbers of groups have no meaning, days in order are blocks of time
        order = random.permutation(len(units)) if shuffled else np.arange(len(units))
        fold = np.empty(len(units), dtype=np.int64)
        fold[order] = _cut(counts[order], split.folds)
        table[learned, number] = fold[place]
    return table


def _cut(counts: Ints, folds: int) -> Ints:
    """Neighbours into `folds` stretches of about equal sums, none empty."""
    middles = np.cumsum(counts) - counts / 2
    fold = np.minimum((middles * folds / counts.sum()).astype(np.int64), folds - 1)
    if len(np.unique(fold)) < folds:  # one unit outweighs a fold
        fold = np.arange(len(counts)) * folds // len(counts)
    return np.asarray(fold)


def _origins(day: Ints, part: npt.NDArray[np.str_], split: Split) -> Ints:
    """Windows of `validation_days`, the newest being the validation part; shape (n,)."""
    end, first = int(day[part == "validation"].max()) + 1, int(day.min())
    start = end - split.folds * split.validation_days
    if start - split.gap_days <= first:
        raise DataError(
            f"{split.folds} windows of {split.validation_days} days and {split.gap_days} gap days need labels before "
            f"{date(1970, 1, 1) + timedelta(days=start - split.gap_days)}, and they begin on "
            f"{date(1970, 1, 1) + timedelta(days=first)}. Lower [split] folds or validation_days, or widen [source] history_days."
        )
    window = (day - start) // split.validation_days
    return np.where((day >= start) & (day < end), window, NEVER)
