"""What is different between two batches: rows by key against a count by hand, columns, and how far values moved."""

import math
from collections import Counter
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.problem import FeatureType
from ml.versions import moved, rows
from ml.versions.moved import Side
from ml.versions.rows import compare_rows, compare_schemas

KEYS = st.sampled_from(["a", "b", "c", None])
NUMBERS = st.sampled_from([1.0, 2.0, math.nan, None])
ROWS = st.lists(st.tuples(KEYS, NUMBERS, st.sampled_from(["x", "", None])), max_size=12)
TYPES = {"key": pa.string(), "number": pa.float64(), "text": pa.string()}


def table(found):
    columns = zip(*found, strict=True) if found else ([], [], [])
    return pa.table({name: pa.array(list(column), TYPES[name]) for name, column in zip(TYPES, columns, strict=True)})


def comparable(row):
    """A row that equals itself even when it holds NaN."""
    return tuple("nan" if isinstance(value, float) and math.isnan(value) else value for value in row)


def by_hand(before, after):
    """Added, removed, changed and same, counted per key as the docstring says."""
    old, new = Counter(map(comparable, before)), Counter(map(comparable, after))
    same = (old & new).total()
    left, right = (Counter(row[0] for row in (a - b).elements()) for a, b in ((old, new), (new, old)))
    changed = (left & right).total()
    return (right - left).total(), (left - right).total(), changed, same


@given(before=ROWS, after=ROWS)
def test_rows_are_counted_exactly_whatever_repeats_or_is_missing(before, after):
    found = compare_rows(table(before), table(after), key="key", columns=["number", "text"])
    assert (found.added, found.removed, found.changed, found.same) == by_hand(before, after)
    assert all(0 < one.num_rows <= found.changed for one in found.columns.values())
    assert found.changed == 0 or found.columns


def test_each_changed_column_is_counted_with_examples_and_its_most_frequent_changes():
    before = table([("a", 1.0, "x"), ("b", 1.0, "x"), ("c", None, "x")])
    after = table([("c", None, "x"), ("b", 2.0, None), ("a", 2.0, "x")])
    found = compare_rows(before, after, key="key", columns=["number", "text"], day="2013-01-01")
    assert {name: one.num_rows for name, one in found.columns.items()} == {"number": 2, "text": 1}
    assert found.columns["number"].pairs == {(1.0, 2.0): 2}
    assert found.columns["text"].examples == [rows.Example("2013-01-01", "b", "x", None)]


def test_lists_are_compared_by_their_content():
    def broken(*lists):
        return pa.table({"key": ["a", "b"], "rules": pa.array(list(lists), pa.list_(pa.string()))})

    found = compare_rows(broken(["x"], ["y", "z"]), broken(["x"], ["y"]), key="key", columns=["rules"])
    assert (found.changed, found.same) == (1, 1)


def test_days_add_up_and_too_many_different_changes_are_told_by_examples():
    total = rows.RowChanges()
    for day in range(3):
        old, new = (pa.table({"key": list(range(100)), "number": [float(n + step) for n in range(100)]}) for step in (0, day))
        total.add(compare_rows(old, new, key="key", columns=["number"], day=str(day)))
    assert (total.changed, total.same) == (200, 100)
    change = total.columns["number"]
    assert (change.num_rows, len(change.pairs or ())) == (200, 200)
    total.add(compare_rows(old.slice(0, 1), new.slice(50, 1).set_column(0, "key", [[0]]), key="key", columns=["number"]))
    assert change.pairs is None
    assert len(change.examples) == rows.EXAMPLES


def test_columns_that_came_went_or_changed_their_type_are_named():
    changed = compare_schemas(
        {"a": pa.string(), "b": pa.int64(), "c": pa.bool_()}, {"b": pa.float64(), "a": pa.large_string(), "d": pa.bool_()}
    )
    assert (changed.added, changed.removed, changed.retyped) == (("d",), ("c",), {"b": ("int64", "double")})
    assert not compare_schemas({"a": pa.string()}, {"a": pa.large_string()})


NOON = datetime(2013, 1, 1, 12, tzinfo=UTC)
KINDS: dict[str, FeatureType] = {
    "distance": "number",
    "carrier": "category",
    "snow": "boolean",
    "note": "text",
    "planned": "datetime",
}


def batch(size, seed, *, scale=1.0, carriers=("UA", "AA", "B6"), snow=0.2, words=5, hour=0, missing=0.0):
    random = np.random.default_rng(seed)
    gone = random.random(size) < missing
    return pa.table(
        {
            "distance": pa.array(random.gamma(4, 250, size) * scale, mask=gone),
            "carrier": random.choice(carriers, size),
            "snow": random.random(size) < snow,
            "note": [" ".join(["word"] * int(n)) for n in random.integers(1, 2 * words, size)],
            "planned": [NOON + timedelta(hours=hour + int(n)) for n in random.integers(0, 4, size)],
        }
    )


def compare(before, after):
    sides = [Side(KINDS, "UTC") for _ in range(2)]
    for side, found in zip(sides, (before, after), strict=True):
        side.add(found)
    return {one.column: one for one in moved.compare(*sides)}


def test_of_two_samples_of_the_same_nothing_is_said_to_move():
    for seed in range(20):
        found = compare(batch(900, seed), batch(900, 1000 + seed))
        assert not [one for one in found.values() if one.moved]


@pytest.mark.parametrize(
    ("column", "change", "words"),
    [
        ("distance", {"scale": 1.6}, ["median", "times 1.6"]),
        ("distance", {"missing": 0.3}, ["missing in 0.0% before, 3"]),
        ("carrier", {"carriers": ("UA", "AA", "ZZ")}, ["new: ZZ (3", "gone: B6 (3"]),
        ("carrier", {"carriers": ("UA", "UA", "UA", "UA", "AA", "B6")}, ["UA 3", "before, 6"]),
        ("snow", {"snow": 0.5}, ["true 1", "before, 5"]),
        ("note", {"words": 12}, ["characters in the median before"]),
        ("planned", {"hour": 5}, ["h before", "h now"]),
    ],
    ids=["scaled", "missing", "new and gone value", "share of a value", "share of true", "longer texts", "later hours"],
)
def test_a_column_that_moved_is_named_first_with_what_moved(column, change, words):
    found = compare(batch(2000, 1), batch(2000, 2, **change))
    first = next(iter(found.values()))
    assert (first.column, first.moved) == (column, True)
    assert [one.column for one in found.values() if one.moved] == [column]
    assert first.size in ("small", "medium", "large")
    assert all(word in first.sentence for word in words), first.sentence
    if first.histogram:
        drawn, missing = [first.histogram.before, first.histogram.after], first.null_shares
    else:
        drawn, missing = [one for one in zip(*first.shares.values(), strict=True)], (0, 0)
    assert [sum(side) + gone for side, gone in zip(drawn, missing, strict=True)] == [pytest.approx(1), pytest.approx(1)]


def test_a_sample_does_not_grow_and_its_counts_are_exact():
    side = Side({"distance": "number"}, "UTC")
    for seed in range(3):
        side.add(batch(10_000, seed, missing=0.1))
    assert side.sample is not None
    assert side.sample.num_rows == moved.MOST
    assert side.profile.columns["distance"].num_rows == 30_000
    assert 2700 < side.profile.columns["distance"].num_null < 3300


def test_a_side_without_rows_is_not_compared():
    assert compare(batch(0, 1), batch(100, 2)) == {}
