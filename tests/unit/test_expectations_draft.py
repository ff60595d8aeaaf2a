"""A drafted suite is understood whole, holds on its own history, is calm on the next month, and sees planted damage."""

import re
import string
from datetime import timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml import draft, problem, source
from ml.draft import patterns
from ml.draft.propose import _outward
from ml.samples import SAMPLES
from ml.settings import PROJECT
from ml.tables import DAY
from ml.validate import suite

FLIGHTS = problem.load("flights", PROJECT / "ml" / "problems")


@pytest.fixture(scope="module")
def year():
    """The flights of 2013 as ingested."""
    history = SAMPLES["flights"].read(None)
    kinds = source.columns(FLIGHTS)
    rows = pa.table({column: history[column].cast(source.ARROW[kind]) for column, kind in kinds.items()})
    local = pc.local_timestamp(rows["sched_dep"].cast(pa.timestamp("s", FLIGHTS.source.timezone)))
    rows = rows.append_column(DAY, pc.strftime(local, "%Y-%m-%d"))
    return lambda start, end: rows.filter(pc.and_(pc.greater_equal(rows[DAY], start), pc.less(rows[DAY], end)))


@pytest.fixture(scope="module")
def january(year):
    return year("2013-01-01", "2013-02-01")


def drafted(rows: pa.Table, about=FLIGHTS):
    seen = draft.Seen({name: kind for name, kind in source.columns(about).items() if name in rows.column_names}, about.source.key)
    for batch in rows.to_batches(max_chunksize=5000):
        seen.add(batch)
    return draft.propose(about, seen)


@pytest.fixture(scope="module")
def content(january):
    return drafted(january)


@pytest.fixture(scope="module")
def loaded(content, tmp_path_factory):
    path = tmp_path_factory.mktemp("draft") / "flights.raw.json"
    path.write_text(draft.written(content))
    return suite.load(path)


def broken(loaded, rows):
    return [one.result for one in suite.judge(rows, loaded) if not one.result.holds]


def test_the_draft_holds_on_the_history_it_was_made_from(loaded, january):
    assert len(loaded.expectations) > 30
    assert broken(loaded, january) == []


def test_the_same_history_in_other_pieces_gives_the_same_draft(content, january):
    assert drafted(january.take(pa.array(np.random.default_rng(1).permutation(january.num_rows)))) == content


@pytest.mark.parametrize("months", [("2013-02-01", "2013-03-01"), ("2013-03-01", "2013-04-01"), ("2013-07-01", "2013-08-01")])
def test_the_months_after_break_hardly_a_rule(loaded, year, months):
    rows = year(*months)
    found = broken(loaded, rows)
    assert [one for one in found if one.kind == "table"] == []
    assert len(found) <= 2
    assert sum(one.num_broken for one in found) < 0.002 * rows.num_rows  # reports of 1,048 miles an hour, hours without a report


def test_most_single_days_of_the_next_month_are_without_a_word(loaded, year):
    days = [f"2013-02-{day:02d}" for day in range(1, 29)]
    told = {day: [one.rule for one in broken(loaded, year(day, day + "~"))] for day in days}
    assert sum(bool(rules) for rules in told.values()) <= 3, told  # the blizzard of the 8th and 9th, a gust of 1,048


def change(rows: pa.Table, column: str, values) -> pa.Table:
    place = rows.column_names.index(column)
    return rows.set_column(place, column, pa.chunked_array([pa.array(values, rows.schema.field(column).type)]))


def some(rows: pa.Table, column: str, value, every: int) -> pa.Table:
    """Another value in every so-many-th row."""
    held = rows[column].to_pylist()
    return change(rows, column, [value(one) if place % every == 0 else one for place, one in enumerate(held)])


DAMAGE = {
    "a minus sign": lambda rows: some(rows, "distance", lambda far: -far, 200),
    "metres for miles": lambda rows: some(rows, "distance", lambda far: far * 1609, 200),
    "kilometres in every row": lambda rows: some(rows, "distance", lambda far: far * 1.609, 1),
    "hours for minutes in every row": lambda rows: some(rows, "sched_minutes", lambda long: long / 60 if long else long, 1),
    "a broken instrument": lambda rows: some(rows, "wind_speed", lambda _: 1048.0, 300),
    "a carrier written out": lambda rows: some(rows, "carrier", lambda _: "Delta Air Lines", 100),
    "lower case codes": lambda rows: some(rows, "dest", str.lower, 100),
    "another airport": lambda rows: some(rows, "origin", lambda _: "BOS", 500),
    "no carrier": lambda rows: some(rows, "carrier", lambda _: None, 100),
    "a key of another system": lambda rows: some(rows, "flight_id", lambda key: f"{key}#1", 100),
    "one row twice": lambda rows: pa.concat_tables([rows, rows.slice(7, 1)]),
    "known only after departure": lambda rows: some(rows, "available_at", lambda at: at + timedelta(hours=5), 100),
    "a label from before departure": lambda rows: some(rows, "outcome_at", lambda at: at and at - timedelta(days=3), 100),
    "a join that lost half": lambda rows: some(rows, "plane_year", lambda _: None, 2),
    "an airport that fell silent": lambda rows: rows.filter(pc.not_equal(rows["origin"], "LGA")),
    "half a day": lambda rows: rows.slice(0, rows.num_rows // 3),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_planted_damage_is_seen(loaded, year, damage):
    day = year("2013-02-05", "2013-02-06")
    assert broken(loaded, day) == []
    assert broken(loaded, damage(day))


def test_every_rule_says_what_it_saw(content):
    whys = [rule["meta"]["why"] for rule in content["expectations"]]
    assert all("27,004 rows" in why for why in whys[1:])  # the first needs no history: a batch has rows
    assert {rule["severity"] for rule in content["expectations"]} == {"critical", "warning"}


def test_units_are_told_where_the_problem_file_names_them(january):
    about = FLIGHTS.model_dump()
    about["features"]["distance"]["unit"] = "mile"
    rules = drafted(january, type(FLIGHTS).model_validate(about))["expectations"]
    assert any("between 80 and 4983, in mile" in rule["meta"]["why"] for rule in rules)


def test_less_history_makes_warnings_of_what_a_month_makes_critical(year, content):
    def of(made, kind, column):
        found = [one for one in made["expectations"] if one["type"] == kind and one["kwargs"].get("column") == column]
        return [one["severity"] for one in found]

    week = drafted(year("2013-01-01", "2013-01-08"))
    never = "expect_column_values_to_not_be_null"
    assert (of(content, never, "carrier"), of(week, never, "carrier")) == (["critical"], ["warning"])
    assert of(week, never, "flight_id") == of(week, never, "sched_dep") == ["critical"]  # without these a row is none


def test_a_value_far_from_all_others_is_pointed_out(january):
    rules = drafted(some(january, "wind_speed", lambda speed: speed, 1))["expectations"]
    odd = drafted(change(january, "wind_speed", [1048.0, *january["wind_speed"].to_pylist()[1:]]))["expectations"]
    told = ["CHECK: 1048 is" in rule["meta"]["why"] for rule in odd]
    assert sum(told) == 1
    assert not any("CHECK: 1048 is" in rule["meta"]["why"] for rule in rules)


def test_numbers_that_are_none_do_not_stretch_a_range(january):
    rows = change(january, "distance", [float("inf"), float("nan"), *january["distance"].to_pylist()[2:]])
    limits = [rule["kwargs"] for rule in drafted(rows)["expectations"] if rule["type"].endswith("be_between")]
    assert all(abs(limit) < 1e6 for kwargs in limits for name, limit in kwargs.items() if name != "column")


VALUES = st.lists(st.text(alphabet="AB9-. x", min_size=1, max_size=8), min_size=1, max_size=12)


def forms(values) -> set[str]:
    table = str.maketrans(
        {**dict.fromkeys(string.digits, "9"), **dict.fromkeys(string.ascii_uppercase, "A")}
        | dict.fromkeys(string.ascii_lowercase, "a")
    )
    return {value.translate(table) for value in values}


@given(VALUES)
def test_a_pattern_matches_all_values_it_was_made_from(values):
    found = patterns.regex(forms(values))
    if found:
        assert all(re.match(found, value) for value in values)
        assert "(" not in found.replace("(?:", "")  # a plain group warns inside the rule


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["EWR", "JFK"], "^[A-Z]{3}$"),
        (["UA", "9E", "B6"], "^[A-Z0-9]{2}$"),
        (["US-1", "US-123"], r"^[A-Z]{2}-\d{1,3}$"),
        (["1.5", "22.75"], r"^\d{1,2}\.\d{1,2}$"),
        (["94110", "941XX"], r"^(?:\d{3}[A-Z]{2}|\d{5})$"),
        (["a b", "a-b", "a.b", "a/b", "a+b"], None),
    ],
)
def test_patterns_are_as_a_person_would_write_them(values, expected):
    assert patterns.regex(forms(values)) == expected


@given(st.floats(-1e12, 1e12), st.booleans())
def test_limits_are_rounded_away_from_the_values(value, up):
    rounded = _outward(value, up=up)
    assert rounded >= value if up else rounded <= value
    assert abs(rounded - value) <= 0.1 * abs(value) * (1 + 1e-12)  # the difference itself is rounded


def test_a_limit_of_few_digits_stays_as_it_is():
    for value in (0.001, -0.3, 12.0):
        assert _outward(value, up=True) == _outward(value, up=False) == value
