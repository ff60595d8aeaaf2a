"""Rows judged in pieces: the same verdicts and the same rows as Great Expectations gives on the whole by its public interface."""

import json
from functools import cache
from itertools import pairwise
from unittest.mock import patch

import hypothesis.strategies as st
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings

from ml.validate import judge
from ml.validate.suite import load

ROW_RULES = [
    ("expect_column_values_to_not_be_null", {"column": "number"}),
    ("expect_column_values_to_not_be_null", {"column": "word"}),
    ("expect_column_values_to_be_null", {"column": "word"}),
    ("expect_column_values_to_be_unique", {"column": "word"}),
    ("expect_column_values_to_be_unique", {"column": "number"}),
    ("expect_column_values_to_be_unique", {"column": "moment"}),
    ("expect_compound_columns_to_be_unique", {"column_list": ["word", "number"]}),
    ("expect_compound_columns_to_be_unique", {"column_list": ["word", "flag"], "ignore_row_if": "any_value_is_missing"}),
    ("expect_column_values_to_be_between", {"column": "number", "min_value": -1, "max_value": 2}),
    ("expect_column_values_to_be_between", {"column": "number", "min_value": 0, "strict_min": True}),
    ("expect_column_values_to_be_between", {"column": "moment", "min_value": "2013-01-01T00:00:00+00:00"}),
    ("expect_column_values_to_be_in_set", {"column": "word", "value_set": ["a", "b", ""]}),
    ("expect_column_values_to_be_in_set", {"column": "flag", "value_set": [True]}),
    ("expect_column_values_to_be_in_set", {"column": "number", "value_set": [0, 1]}),
    ("expect_column_values_to_not_be_in_set", {"column": "word", "value_set": ["a", "ä"]}),
    ("expect_column_values_to_match_regex", {"column": "word", "regex": "^[a-zß]*$"}),
    ("expect_column_values_to_not_match_regex", {"column": "word", "regex": "b$"}),
    ("expect_column_values_to_match_regex_list", {"column": "word", "regex_list": ["^a", "^$"], "match_on": "any"}),
    ("expect_column_value_lengths_to_be_between", {"column": "word", "min_value": 1, "max_value": 2}),
    ("expect_column_value_lengths_to_equal", {"column": "word", "value": 1}),
    ("expect_column_values_to_be_increasing", {"column": "number"}),
    ("expect_column_pair_values_a_to_be_greater_than_b",
     {"column_A": "number", "column_B": "other", "ignore_row_if": "either_value_is_missing"}),
    ("expect_column_pair_values_a_to_be_greater_than_b",
     {"column_A": "moment", "column_B": "later", "or_equal": True, "ignore_row_if": "either_value_is_missing"}),
    ("expect_column_pair_values_to_be_equal",
     {"column_A": "number", "column_B": "other", "ignore_row_if": "both_values_are_missing"}),
    ("expect_select_column_values_to_be_unique_within_record",
     {"column_list": ["number", "other"], "ignore_row_if": "any_value_is_missing"}),
    ("expect_column_values_to_be_between",
     {"column": "number", "min_value": 0, "row_condition": 'word == "a"', "condition_parser": "pandas"}),
]  # fmt: skip
TABLE_RULES = [
    ("expect_table_row_count_to_be_between", {"min_value": 3, "max_value": 20}),
    ("expect_table_row_count_to_equal", {"value": 4}),
    ("expect_table_columns_to_match_set", {"column_set": ["number", "other", "word", "flag", "moment", "later"]}),
    ("expect_table_column_count_to_equal", {"value": 6}),
    ("expect_column_to_exist", {"column": "word"}),
    ("expect_column_to_exist", {"column": "nowhere"}),
    ("expect_column_proportion_of_non_null_values_to_be_between", {"column": "later", "min_value": 0.5}),
    ("expect_column_proportion_of_non_null_values_to_be_between", {"column": "number", "min_value": 0.5}),
    ("expect_column_distinct_values_to_contain_set", {"column": "word", "value_set": ["a"]}),
    ("expect_column_distinct_values_to_be_in_set", {"column": "word", "value_set": ["a", "b", ""]}),
    ("expect_column_unique_value_count_to_be_between", {"column": "word", "min_value": 2, "max_value": 4}),
    ("expect_column_proportion_of_unique_values_to_be_between", {"column": "word", "min_value": 0.5}),
    ("expect_column_most_common_value_to_be_in_set", {"column": "word", "value_set": ["a"], "ties_okay": True}),
    ("expect_column_min_to_be_between", {"column": "number", "min_value": -1}),
    ("expect_column_max_to_be_between", {"column": "number", "max_value": 2}),
    ("expect_column_mean_to_be_between", {"column": "number", "min_value": 0, "max_value": 1}),
    ("expect_column_median_to_be_between", {"column": "number", "min_value": 0, "max_value": 1}),
    ("expect_column_sum_to_be_between", {"column": "number", "min_value": -2, "max_value": 9}),
    ("expect_column_stdev_to_be_between", {"column": "number", "max_value": 1}),
]  # fmt: skip

NUMBERS = st.one_of(st.none(), st.sampled_from([0.0, -0.0, 1.0, 2.0, -1.5, float("nan"), float("inf"), -float("inf"), 1e308]))
WORDS = st.one_of(st.none(), st.sampled_from(["", "a", "b", "ab", "ä", "ß", "ab\n", " a", "🙂", "a" * 300]), st.text(max_size=3))
MOMENTS = st.one_of(
    st.none(), st.sampled_from([0, 1_357_000_000_000_000, 1_357_000_000_000_001, -(10**15), 9_000_000_000_000_000])
)
ROWS = st.lists(st.tuples(NUMBERS, NUMBERS, WORDS, st.sampled_from([None, True, False]), MOMENTS, MOMENTS), max_size=12)
SCHEMA = pa.schema({
    "number": pa.float64(), "other": pa.float64(), "word": pa.string(), "flag": pa.bool_(),
    "moment": pa.timestamp("us", "UTC"), "later": pa.timestamp("us", "UTC"),
})  # fmt: skip


@pytest.fixture(scope="module")
def suite(tmp_path_factory):
    """Every kind of rule above, loaded from a file as in production."""

    def build(chosen):
        path = tmp_path_factory.mktemp("suite") / "p.json"
        entries = [{"type": kind, "kwargs": kwargs, "severity": "critical", "meta": {"why": "so"}} for kind, kwargs in chosen]
        path.write_text(json.dumps({"name": "p", "expectations": entries}))
        return load(path)

    return build


def table(rows) -> pa.Table:
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(SCHEMA)
    return pa.table([pa.array(values, field.type) for values, field in zip(columns, SCHEMA, strict=True)], schema=SCHEMA)


@cache
def asset():
    import great_expectations as gx

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = gx.data_context.types.base.ProgressBarsConfig(globally=False)
    return context.data_sources.add_pandas("batch").add_dataframe_asset("batch").add_batch_definition_whole_dataframe("whole")


def plainly(rows: pa.Table, suite) -> list:
    """Great Expectations as its manual says: the whole frame, the whole suite, at once."""
    frame = rows.append_column("_row", pa.array(range(rows.num_rows), pa.int64())).to_pandas()
    how = {"result_format": "COMPLETE", "unexpected_index_column_names": ["_row"]}
    with np.errstate(all="ignore"):
        answers = asset().get_batch({"dataframe": frame}).validate(suite, result_format=how).results
    found = {}
    for answer in answers:
        assert not answer.exception_info.get("raised_exception"), answer.exception_info
        broken = sorted({entry["_row"] for entry in answer.result.get("unexpected_index_list") or []})
        found[name(answer.expectation_config)] = bool(answer.success), broken
    return [(name(rule.configuration), *found[name(rule.configuration)]) for rule in suite.expectations]


def name(config) -> str:
    return f"{config.type} {sorted((key, str(value)) for key, value in config.kwargs.items() if key != 'batch_id')}"


def in_pieces(rows: pa.Table, suite, size: int, small: int) -> list:
    def read(columns):
        return judge.pieces(rows.select(columns).to_batches(), rows.select(columns).schema)

    with patch.object(judge, "PIECE_ROWS", size), patch.object(judge, "SMALL_ROWS", small):
        found = judge.judge_pieces(read, rows.schema, suite)
    return [
        (name(rule.configuration), one.result.holds, one.rows.tolist())
        for rule, one in zip(suite.expectations, found, strict=True)
    ]


@settings(max_examples=12)
@given(rows=ROWS, size=st.integers(1, 13), small=st.sampled_from([0, 1000]))
def test_pieces_find_the_same_rows_as_the_whole(suite, rows, size, small):
    whole = suite(ROW_RULES)
    assert in_pieces(table(rows), whole, size, small) == plainly(table(rows), whole)


@settings(max_examples=25)
@given(rows=ROWS.filter(len), size=st.integers(1, 13), small=st.sampled_from([0, 1000]))
def test_pieces_say_the_same_about_columns_as_the_whole(suite, rows, size, small):
    """Minus the names of columns: the reference's frame has one more, so rules about them have their own test."""
    whole = suite([rule for rule in TABLE_RULES if not rule[0].startswith("expect_table_column")])
    assert in_pieces(table(rows), whole, size, small) == plainly(table(rows), whole)


@given(sizes=st.lists(st.integers(0, 9), max_size=8), most=st.integers(1, 10), most_bytes=st.integers(1, 100))
def test_pieces_hold_every_row_once_in_order_and_none_too_many(sizes, most, most_bytes):
    whole = pa.table({"n": pa.array(range(sum(sizes)), pa.int64())})
    parts = [whole.slice(start, size) for start, size in zip(np.cumsum([0, *sizes]), sizes, strict=False)]
    batches = [batch for part in parts for batch in part.to_batches()]
    with patch.object(judge, "PIECE_ROWS", most), patch.object(judge, "PIECE_BYTES", most_bytes):
        found = list(judge.pieces(batches, pa.schema([("n", pa.int64())])))
    assert [value for piece in found for value in piece["n"].to_pylist()] == list(range(sum(sizes)))
    assert all(piece.num_rows <= most for piece in found)
    assert len(found) >= 1
    assert sum(piece.num_rows == 0 for piece in found) <= (sum(sizes) == 0)


VALUES = st.lists(st.sampled_from(["a", "b", "c", "", None, "ä"]), max_size=30)


@given(values=VALUES, cuts=st.lists(st.integers(0, 30), max_size=3))
def test_repeated_rows_are_found_across_pieces(values, cuts):
    edges = sorted({0, len(values), *(cut for cut in cuts if cut < len(values))})
    whole = pa.table({"v": pa.array(values, pa.string())})
    parts = [judge.row_hashes(whole.slice(start, end - start)) for start, end in pairwise(edges)]
    assert judge.repeated(parts).tolist() == [place for place, value in enumerate(values) if values.count(value) > 1]


def test_what_pandas_takes_for_equal_has_equal_bits():
    numbers = pa.table({"n": pa.array([0.0, -0.0, None, float("nan"), -float("nan"), 1.0], pa.float64())})
    zero, other_zero, *missing, one = judge.row_hashes(numbers).tolist()
    assert zero == other_zero
    assert len({*missing}) == 1
    assert len({zero, missing[0], one}) == 3
