"""The split: in time order, no key twice."""

from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.errors import DataError
from ml.problem import Split
from ml.split import parts_by_day, split_rows

SPLIT = Split(validation_days=2, test_days=3, minimum_rows=4)


def labelled(num_days: int = 10, per_day: int = 5) -> pa.Table:
    days = [str(date(2013, 1, 1) + timedelta(days=number)) for number in range(num_days) for _ in range(per_day)]
    keys = [f"k{number}" for number in range(len(days))]
    return pa.table({"_key": keys, "_day": days, "_label": [number % 2 == 0 for number in range(len(days))]})


@settings(max_examples=50)
@given(num_days=st.integers(6, 40), seed=st.integers(0, 1000))
def test_parts_are_whole_days_in_time_order_and_lose_no_row(num_days, seed):
    rows = labelled(num_days).take(np.random.default_rng(seed).permutation(num_days * 5))
    parted, aside = split_rows(rows, SPLIT)
    assert not aside
    days = {name: sorted(set(parted.filter(pa.compute.equal(parted["_part"], name))["_day"].to_pylist())) for name in
            ("train", "validation", "test")}  # fmt: skip
    assert max(days["train"]) < min(days["validation"]) <= max(days["validation"]) < min(days["test"])
    assert (len(days["validation"]), len(days["test"])) == (2, 3)
    assert sorted(parted["_key"].to_pylist()) == sorted(rows["_key"].to_pylist())


def test_order_of_arrival_does_not_matter():
    rows = labelled()
    assert split_rows(rows, SPLIT)[0].equals(split_rows(rows.take(list(reversed(range(rows.num_rows)))), SPLIT)[0])


def test_a_key_on_both_sides_is_leakage():
    keys = ["same", *labelled()["_key"].to_pylist()[1:-1], "same"]
    with pytest.raises(DataError, match=r"1 keys stand in more than one part of the split, such as \['same'\]"):
        split_rows(labelled().set_column(0, "_key", pa.array(keys)), SPLIT)


def test_too_few_days_or_rows_say_what_to_do():
    with pytest.raises(DataError, match="history_days"):
        parts_by_day([date(2013, 1, 1)], SPLIT)
    with pytest.raises(DataError, match=r"minimum_rows = 100"):
        split_rows(labelled(), SPLIT.model_copy(update={"minimum_rows": 100}))


def test_gap_days_belong_to_no_part_and_are_counted():
    parted, aside = split_rows(labelled(12), SPLIT.model_copy(update={"gap_days": 1}))
    days = {
        part: {row["_day"][-2:] for row in parted.to_pylist() if row["_part"] == part} for part in ("train", "validation", "test")
    }
    assert days == {"train": {"01", "02", "03", "04", "05"}, "validation": {"07", "08"}, "test": {"10", "11", "12"}}
    assert aside == {"gap": 10}
    assert parted.num_rows + aside["gap"] == 60


def test_a_group_stays_in_its_newest_part_and_what_is_set_aside_is_counted():
    groups = [*(7 + n % 2 for n in range(21)), *(n % 5 for n in range(4)), *range(100, 110), *(n % 5 for n in range(15))]
    rows = labelled().append_column("_group", pa.array(groups))
    parted, aside = split_rows(rows, SPLIT.model_copy(update={"group": "person"}))
    found = {part: {row["_group"] for row in parted.to_pylist() if row["_part"] == part} for part in ("train", "test")}
    assert found == {"train": {7, 8}, "test": {0, 1, 2, 3, 4}}
    assert aside == {"group": 4}
    assert parted.num_rows == 46
