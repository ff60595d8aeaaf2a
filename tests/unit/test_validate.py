"""Validation: suites are loaded whole or refused; every row ends in exactly one place, with every rule it broke."""

import json

import numpy as np
import pyarrow as pa
import pytest

from ml.errors import ConfigError, DataError
from ml.settings import PROJECT
from ml.validate import split, stage, suite
from ml.window import Window

RULES = [
    {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "key"}},
    {"type": "expect_column_values_to_be_between", "kwargs": {"column": "size", "min_value": 0, "max_value": 10}},
    {
        "type": "expect_column_values_to_be_in_set",
        "kwargs": {"column": "colour", "value_set": ["red", "blue"]},
        "severity": "warning",
    },
    {"type": "expect_column_mean_to_be_between", "kwargs": {"column": "size", "min_value": 0, "max_value": 9}},
]


def write(folder, rules=RULES):
    whole = [{"severity": "critical", "meta": {"why": "so it is"}} | rule for rule in rules]
    path = folder / "p.raw.json"
    path.write_text(json.dumps({"name": "p.raw", "expectations": whole}))
    return path


def batch(**columns) -> pa.Table:
    plain = {"key": ["a", "b", "c", "d"], "size": [1.0, 2.0, 3.0, None], "colour": ["red", "blue", "red", "blue"]}
    return pa.table(plain | columns)


def separate(rows, outcomes):
    return split.separate(rows, split.bad_rows(outcomes), run_key="r")


def test_a_clean_batch_keeps_every_rule_and_every_row(tmp_path):
    outcomes = suite.judge(batch(), suite.load(write(tmp_path)))
    valid, quarantined = separate(batch(), outcomes)
    assert [one.result.holds for one in outcomes] == [True] * 4
    assert (valid.num_rows, quarantined.num_rows) == (4, 0)
    assert valid.equals(batch())


def test_bad_rows_carry_every_rule_they_broke_and_warnings_let_pass(tmp_path):
    rows = batch(key=["a", None, "c", "d"], size=[1.0, -5.0, 11.0, 2.0], colour=["red", "blue", "red", "green"])
    outcomes = suite.judge(rows, suite.load(write(tmp_path)))
    valid, quarantined = separate(rows, outcomes)
    assert valid["key"].to_pylist() == ["a", "d"]
    assert [len(broken) for broken in quarantined["_rules"].to_pylist()] == [2, 1]
    assert quarantined["_rules"].to_pylist()[1] == ["size: be_between(max_value=10.0, min_value=0.0)"]
    warning = next(one.result for one in outcomes if one.result.severity == "warning")
    assert (warning.holds, warning.num_broken) == (False, 1)


def test_duplicate_keys_do_not_confuse_rows(tmp_path):
    rows = batch(key=["a", "a", "a", "a"], size=[1.0, -1.0, 1.0, -1.0])
    valid, quarantined = separate(rows, suite.judge(rows, suite.load(write(tmp_path))))
    assert valid["size"].to_pylist() == [1.0, 1.0]
    assert quarantined.num_rows == 2


def test_rules_that_differ_late_in_a_long_list_are_two_rules(tmp_path):
    values = [f"a rather long colour name number {number}" for number in range(5)]
    both = [
        {"type": "expect_column_values_to_be_in_set", "kwargs": {"column": "colour", "value_set": [*values, last]}}
        for last in ("red", "blue")
    ]
    outcomes = suite.judge(batch(colour=["red"] * 4), suite.load(write(tmp_path, both)))
    assert [one.result.num_broken for one in outcomes] == [0, 4]


def test_more_bad_rows_than_great_expectations_lists_are_all_caught(tmp_path):
    generator = np.random.default_rng(0)
    sizes = np.where(generator.random(5000) < 0.3, -1.0, 1.0)
    rows = pa.table({"key": [str(n) for n in range(5000)], "size": sizes, "colour": ["red"] * 5000})
    valid, quarantined = separate(rows, suite.judge(rows, suite.load(write(tmp_path))))
    assert (valid.num_rows, quarantined.num_rows) == (int((sizes > 0).sum()), int((sizes < 0).sum()))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"type": "expect_column_values_to_be_fine"}, "expect_column_values_to_be_fine.*is not understood"),
        ({"severity": "fatal"}, "has severity 'fatal'. Use critical or warning"),
        ({"meta": {}}, "has no meta.why"),
        ({"kwargs": {"colum": "size"}}, "is not understood"),
        ({"kwargs": {"column": "key", "mostly": 0.9}}, "`mostly` would let bad rows pass"),
        ({"windows": []}, "has the key 'windows', which would be ignored"),
        (
            {"type": "expect_column_values_to_be_between", "kwargs": {"column": "size", "max_value": {"$PARAMETER": "m"}}},
            "PARAMETER",
        ),
        ({"type": "expect_column_values_to_match_like_pattern", "kwargs": {"column": "key", "like_pattern": "a%"}}, "databases"),
        ({"type": "unexpected_rows_expectation", "kwargs": {"unexpected_rows_query": "SELECT 1 FROM {batch}"}}, "databases"),
        (
            {"type": "expect_table_row_count_to_equal_other_table", "kwargs": {"other_table_name": "t"}},
            "a table that is not there",
        ),
    ],
    ids=["type", "severity", "why", "argument", "mostly", "key", "parameter", "database", "query", "other table"],
)
def test_a_suite_that_would_shrink_is_refused(tmp_path, change, message):
    with pytest.raises(ConfigError, match=message):
        suite.load(write(tmp_path, [RULES[0] | change, *RULES[1:]]))


def test_no_suite_and_no_json_are_told(tmp_path):
    with pytest.raises(ConfigError, match="There is no expectation suite"):
        suite.load(tmp_path / "p.raw.json")
    (tmp_path / "p.raw.json").write_text("{")
    with pytest.raises(ConfigError, match="is no expectation suite"):
        suite.load(tmp_path / "p.raw.json")


def test_an_empty_suite_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="holds no rule"):
        suite.load(write(tmp_path, []))


def test_rules_about_names_and_numbers_of_columns_see_every_column(tmp_path):
    rules = [
        {"type": "expect_table_columns_to_match_set", "kwargs": {"column_set": ["colour", "key", "size"]}},
        {"type": "expect_table_columns_to_match_ordered_list", "kwargs": {"column_list": ["size", "key", "colour"]}},
        {"type": "expect_table_column_count_to_equal", "kwargs": {"value": 3}},
        {"type": "expect_column_to_exist", "kwargs": {"column": "nowhere"}},
        {"type": "expect_table_row_count_to_equal", "kwargs": {"value": 4}},
    ]
    outcomes = suite.judge(batch(), suite.load(write(tmp_path, rules)))
    assert [one.result.holds for one in outcomes] == [True, False, True, False, True]


def test_what_a_rule_asks_and_saw_is_told_in_words(tmp_path):
    rules = [*RULES, {"type": "expect_column_values_to_match_regex", "kwargs": {"column": "key", "regex": "^[a-c]$"}}]
    told = {one.expected: one for one in suite.judge(batch(size=[-1.0, 2.0, 3.0, 44.0]), suite.load(write(tmp_path, rules)))}
    between = told["to be at least 0 and at most 10"]
    assert (between.examples, between.columns, between.result.share) == ((-1.0, 44.0), ("size",), 0.5)
    assert told["mean to be at least 0 and at most 9"].result.observed == "12"
    assert told["to match regex '^[a-c]$'"].examples == ("d",)


def test_a_rule_that_cannot_be_computed_neither_holds_nor_quarantines(tmp_path):
    with pytest.raises(DataError, match="could not be computed"):
        suite.judge(batch().drop_columns(["size"]), suite.load(write(tmp_path)))


@pytest.mark.parametrize("path", sorted((PROJECT / "expectations").glob("*.json")), ids=lambda path: path.stem)
def test_shipped_suites_are_understood_whole(path):
    assert len(suite.load(path).expectations) == len(json.loads(path.read_text())["expectations"]) > 5


def test_an_empty_day_is_named():
    rule = stage.every_day_has_rows({"2013-01-01"}, Window.parse("2013-01-01/2013-01-03"))
    assert not rule.holds
    assert "2013-01-02" in rule.observed
