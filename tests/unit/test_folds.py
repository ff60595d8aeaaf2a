"""Folds: what judges has never taught, in any protocol; and no test row does either."""

from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml import folds
from ml.errors import DataError
from ml.problem import Split
from ml.split import split_rows

PROTOCOLS = ("holdout", "kfold", "iterated_kfold", "rolling")


def frozen(num_days: int = 40, *, groups: int | None = None, seed: int = 0, **keys) -> tuple[pa.Table, Split]:
    """Days with 1 to 9 rows, cut under a split."""
    random = np.random.default_rng(seed)
    days = [str(date(2013, 1, 1) + timedelta(days=day)) for day in range(num_days) for _ in range(random.integers(1, 10))]
    columns = {"_key": [f"k{number}" for number in range(len(days))], "_day": days, "_label": random.random(len(days)) < 0.5}
    if groups:
        columns["_group"] = pa.array(random.integers(0, groups, len(days)), pa.int32())
    split = Split(validation_days=3, test_days=4, minimum_rows=1, group="person" if groups else None, **keys)
    return split_rows(pa.table(columns), split)[0], split


@settings(max_examples=60)
@given(
    protocol=st.sampled_from(PROTOCOLS), gap=st.integers(0, 2), number=st.integers(2, 4), seed=st.integers(0, 99),
    groups=st.sampled_from([None, 150]),
)  # fmt: skip
def test_what_judges_has_not_taught(protocol, gap, number, seed, groups):
    gap = 0 if protocol == "iterated_kfold" else gap  # a gap around every second day leaves nothing; see below
    rows, split = frozen(seed=seed, groups=groups, protocol=protocol, folds=number, gap_days=gap)
    day = rows["_day"].to_numpy().astype("datetime64[D]")
    test, found = np.array(rows["_part"].to_pylist()) == "test", list(folds.of(rows, split))
    assert len(found) == {"holdout": 1, "kfold": number, "iterated_kfold": 3 * number, "rolling": number}[protocol]
    for fold in found:
        assert fold.teaches.any() and fold.judges.any()
        assert not (fold.teaches & fold.judges).any()
        assert not ((fold.teaches | fold.judges) & test).any()
        if protocol in ("holdout", "rolling"):
            assert day[fold.teaches].max() + gap < day[fold.judges].min()
        elif not groups:
            distance = np.abs(day[fold.teaches][:, None] - day[fold.judges][None]).astype(int)
            assert distance.min() > gap
        if groups:
            group = rows["_group"].to_numpy()
            assert not set(group[fold.teaches]) & set(group[fold.judges])


@pytest.mark.parametrize(("protocol", "times"), [("kfold", 1), ("iterated_kfold", 3)])
def test_in_turns_every_row_before_the_test_judges_equally_often(protocol, times):
    rows, split = frozen(protocol=protocol, folds=4)
    judged = np.sum([fold.judges for fold in folds.of(rows, split)], axis=0)
    assert np.array_equal(judged, np.where(np.array(rows["_part"].to_pylist()) == "test", 0, times))


def test_iterations_take_turns_in_other_orders_and_the_same_ones_next_time():
    rows, _ = frozen(protocol="iterated_kfold", folds=4)
    table = np.array(rows["_fold"].to_pylist())
    assert not np.array_equal(table[:, 0], table[:, 1])
    assert frozen(protocol="iterated_kfold", folds=4)[0].equals(rows)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_rows_that_were_set_aside_afterwards_neither_teach_nor_judge(protocol):
    rows, split = frozen(protocol=protocol, folds=3)
    part = np.array(rows["_part"].to_pylist(), dtype=object)
    part[::7] = np.where(part[::7] == "test", "test", "reference")
    place = rows.column_names.index("_part")
    for fold in folds.of(rows.set_column(place, "_part", pa.array(part, pa.string())), split):
        assert not ((fold.teaches | fold.judges) & (part == "reference")).any()


def test_folds_in_turns_have_about_equal_numbers_of_rows():
    rows, split = frozen(80, protocol="kfold", folds=4)
    sizes = [fold.judges.sum() for fold in folds.of(rows, split)]
    assert max(sizes) < 1.3 * min(sizes)


def test_rolling_windows_end_with_the_validation_part():
    rows, split = frozen(protocol="rolling", folds=3)
    *_, newest = folds.of(rows, split)
    part = np.array(rows["_part"].to_pylist())
    assert np.array_equal(newest.judges, part == "validation")
    assert np.array_equal(newest.teaches, part == "train")


def test_too_few_days_for_the_folds_say_what_to_do():
    with pytest.raises(DataError, match=r"6 windows of 3 days.*Lower \[split\] folds"):
        frozen(20, protocol="rolling", folds=6)
    with pytest.raises(DataError, match=r"Fold 1 of 6 leaves 0 rows to learn from.*gap_days"):
        frozen(40, protocol="iterated_kfold", folds=2, gap_days=7)
    with pytest.raises(DataError, match=r"8 days cannot be cut into 20 folds"):
        frozen(12, protocol="kfold", folds=20)
