"""Table rules from history: they see what is planted, hold what is usual, and say when they cannot tell."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from ml import problem as problems
from ml.problem import Problem
from ml.profile import Profile, Profiler
from ml.samples import flights
from ml.settings import PROJECT
from ml.source import columns
from ml.validate import history, usual
from ml.validate.history import Due, Evidence
from ml.window import Window

TODAY = date(2024, 3, 4)  # a Monday
KINDS = {
    "key": "key", "at": "datetime", "known": "datetime", "labelled": "datetime", "label": "boolean",
    "colour": "category", "size": "number", "note": "text",
}  # fmt: skip


def problem(**validation) -> Problem:
    return Problem.model_validate({
        "problem": {"name": "p", "title": "t", "task": "binary", "owner": "o", "positive": "late"},
        "source": {"table": "p", "key": "key", "event_time": "at", "label": "label", "label_time": "labelled",
                   "available_at": "known", "lookback_days": 3},
        "features": {"colour": {"type": "category"}, "size": {"type": "number"}, "note": {"type": "text"}},
        "validation": validation,
    })  # fmt: skip


def day(when: date, num_rows: int = 400, *, known_after: timedelta = timedelta(), **changes) -> Profile:
    """A usual day: two colours, sizes around 100, a fifth positive; `changes` replace columns."""
    draw = np.random.default_rng(when.toordinal())
    at = [datetime(when.year, when.month, when.day, number % 24, tzinfo=UTC) for number in range(num_rows)]
    plain = {
        "key": [f"{when}-{number}" for number in range(num_rows)],
        "at": at,
        "known": [moment + known_after for moment in at],
        "labelled": [moment + known_after + timedelta(hours=30) for moment in at],
        "label": (draw.random(num_rows) < 0.2).tolist(),
        "colour": draw.choice(["red", "blue"], num_rows).tolist(),
        "size": draw.normal(100, 10, num_rows).tolist(),
        "note": ["some words"] * num_rows,
    }
    types = {"at": pa.timestamp("us", "UTC"), "known": pa.timestamp("us", "UTC"), "labelled": pa.timestamp("us", "UTC")}
    kinds = types | {"key": pa.string(), "label": pa.bool_(), "colour": pa.string(), "size": pa.float64(), "note": pa.string()}
    profiler = Profiler(KINDS, "UTC", event_time="at")
    profiler.add(pa.table({name: pa.array(values, kinds[name]) for name, values in (plain | changes).items()}))
    return profiler.result()


def past(days: int = 42, before: date = TODAY, **how) -> dict[date, Profile]:
    return {one: day(one, **how) for one in (before - timedelta(days=number) for number in range(1, days + 1))}


@pytest.fixture(scope="module")
def usual_days() -> dict[date, Profile]:
    return past()


def judged(today: Profile, before, newest=None, twice=(0, 0), **validation) -> dict[str, history.HistoryOutcome]:
    seen = Evidence(
        Window(TODAY, TODAY + timedelta(days=1)),
        Due((TODAY,), (TODAY,)),
        {TODAY: today},
        before,
        newest or datetime(2024, 3, 4, 23, tzinfo=UTC),
        400,
        *twice,
    )
    outcomes = history.judge(seen, problem(**validation))
    return {rule: outcome for rule, name in history.NAMES.items() for outcome in outcomes if outcome.result.rule == name}


def test_a_usual_day_breaks_nothing_and_every_rule_could_tell(usual_days):
    found = judged(day(TODAY), usual_days)
    assert list(found) == list(history.NAMES)
    assert {rule: (one.assessable, one.result.holds) for rule, one in found.items()} == dict.fromkeys(found, (True, True))


PLANTED: dict[str, dict[str, Any]] = {
    "row_count": {"num_rows": 150},
    "nulls": {"size": [None] * 250 + [100.0] * 150},
    "class_balance": {"label": [True] * 300 + [False] * 100},
    "new_categories": {"colour": ["mauve"] * 100 + ["red"] * 150 + ["blue"] * 150},
    "distribution": {"size": np.random.default_rng(1).normal(254, 25, 400).tolist()},
}


@pytest.mark.parametrize("rule", list(PLANTED))
def test_what_is_planted_is_seen_by_its_rule(usual_days, rule):
    found = judged(day(TODAY, **PLANTED[rule]), usual_days)
    assert [name for name, one in found.items() if not one.result.holds and name == rule] == [rule]
    assert found[rule].result.severity == "warning"
    assert str(TODAY) in found[rule].result.observed


def test_a_stopped_feed_and_doubled_rows_are_seen(usual_days):
    found = judged(day(TODAY), usual_days, newest=datetime(2024, 3, 1, 0, tzinfo=UTC), twice=(40, 2))
    assert [rule for rule, one in found.items() if not one.result.holds] == ["freshness", "duplicates"]
    assert found["duplicates"].result.severity == "critical"  # a tenth
    assert "10.00% of the rows have the key of another row" in found["duplicates"].result.observed


def test_limits_decide_between_shown_and_stopped(usual_days):
    tiny = day(TODAY, 20)
    for limits, severity, holds in (
        ({"warning": 0.4, "critical": 0.9}, "critical", False),
        ({"warning": 0.4, "critical": "off"}, "warning", False),
        ({"warning": "off", "critical": 0.99}, "critical", True),
    ):
        result = judged(tiny, usual_days, history={"row_count": limits})["row_count"].result
        assert (result.severity, result.holds) == (severity, holds)
    assert "row_count" not in judged(tiny, usual_days, history={"row_count": {"warning": "off", "critical": "off"}})


def test_too_little_history_is_said_and_not_held_against_the_day():
    found = judged(day(TODAY, 20), past(10))["row_count"]
    assert (found.assessable, found.result.holds) == (False, True)
    assert found.result.observed == "not assessable: too little history"


def test_a_day_of_few_rows_is_judged_by_their_number_only(usual_days):
    found = judged(day(TODAY, 60, size=[None] * 60), usual_days)
    assert not found["row_count"].result.holds
    assert not found["nulls"].assessable


def excess(reading: usual.Reading | None) -> float:
    assert reading is not None
    return reading.excess


def test_a_reference_of_zero_works():
    """Nothing comes on Mondays: nothing on a Monday is usual, something is not."""
    no_mondays = {when: profile for when, profile in past().items() if when.weekday() != 0}
    assert excess(usual.row_count(TODAY, day(TODAY, 0), no_mondays)) == 0
    assert excess(usual.row_count(TODAY, day(TODAY, 5), no_mondays)) == 1
    silent = {when: day(when, colour=[None] * 400) for when in list(past())[:20]}
    assert usual.nulls(TODAY, day(TODAY, colour=[None] * 400), silent, ["colour"])[0].excess == 0
    assert usual.nulls(TODAY, day(TODAY), silent, ["colour"])[0].excess > 0.9


def test_rates_not_counts(usual_days):
    """Five times as many rows with the same shares differ in their number only."""
    found = judged(day(TODAY, 2000), usual_days)
    assert [rule for rule, one in found.items() if not one.result.holds] == ["row_count"]


def test_what_chance_does_to_a_small_day_is_no_finding():
    """A fifth positive, in days of 100 rows: 200 days, and hardly one looks odd."""
    days = past(242, num_rows=100)
    odd = 0
    for when in sorted(days)[42:]:
        before = {one: days[one] for one in (when - timedelta(days=number) for number in range(1, 43))}
        odd += excess(usual.class_balance(when, days[when], before, "label", 100)) > 0.02
    assert odd <= 2


def test_days_that_fill_up_slowly_are_judged_when_they_are_full():
    slow = past(60, before=TODAY, known_after=timedelta(days=20))
    window = Window(TODAY - timedelta(days=40), TODAY)
    due = history.days_due(slow, window, _with_lookback(39), asked=False)
    assert due.rows == (TODAY - timedelta(days=21),)
    assert due.labels == (TODAY - timedelta(days=23),)  # 30 hours later still
    quick = history.days_due(past(60), Window(TODAY - timedelta(days=4), TODAY), problem(), asked=False)
    assert quick.rows == (TODAY - timedelta(days=1),)
    missed_two = history.days_due(past(60), Window(TODAY - timedelta(days=6), TODAY), problem(), asked=False)
    assert missed_two.rows == tuple(TODAY - timedelta(days=number) for number in (3, 2, 1))


def _with_lookback(days: int) -> Problem:
    whole = problem()
    return whole.model_copy(update={"source": whole.source.model_copy(update={"lookback_days": days})})


def test_the_first_night_has_nothing_to_compare_with_and_a_person_may_ask_for_any_day():
    window = Window(TODAY - timedelta(days=10), TODAY)
    assert history.days_due({}, window, problem(), asked=False) == Due()
    assert len(history.days_due(past(60), window, problem(), asked=True).rows) == 10


def test_the_first_weeks_of_flights_show_the_blizzard_and_stop_nothing():
    shown = _days_shown(date(2013, 2, 20))
    assert date(2013, 2, 8) in shown  # half of the flights never flew
    assert len(shown) <= 3


@pytest.mark.slow
def test_a_year_of_flights_with_its_storms_and_holidays_wakes_nobody():
    shown = _days_shown(date(2014, 1, 1))
    assert date(2013, 12, 31) in shown  # that day has no weather at all
    assert len(shown) <= 15


def _days_shown(end: date) -> set[date]:
    """Every day up to `end` beside its six weeks before: none may be stopped; those that are shown."""
    flights_problem = problems.load("flights", PROJECT / "ml" / "problems")
    days = _days_of_flights(flights_problem, end)
    shown: set[date] = set()
    for when in sorted(days):
        before = {one: days[one] for one in (when - timedelta(days=number) for number in range(1, 43)) if one in days}
        window, newest = Window(when, when + timedelta(days=1)), days[when].columns["sched_dep"].last
        seen = Evidence(window, Due((when,), (when,)), {when: days[when]}, before, newest, days[when].num_rows, 0, 0)
        for outcome in history.judge(seen, flights_problem):
            levels = {level for _, level, _ in outcome.readings if level}
            assert "critical" not in levels, outcome.result.observed
            shown |= {when} if levels else set()
    return shown


def _days_of_flights(flights_problem: Problem, end: date) -> dict[date, Profile]:
    rows = flights.read()
    midnight = pa.scalar(datetime(end.year, end.month, end.day, 5, tzinfo=UTC), rows["sched_dep"].type)
    rows = rows.filter(pc.less(rows["sched_dep"], midnight)).combine_chunks()
    local = rows["sched_dep"].cast(pa.timestamp("us", "America/New_York"))
    rows = rows.append_column("_day", pc.strftime(local, "%Y-%m-%d"))
    starts = np.flatnonzero(np.r_[True, np.asarray(pc.not_equal(rows["_day"][1:], rows["_day"][:-1]))])
    found = {}
    for first, after in zip(starts, [*starts[1:], rows.num_rows], strict=True):
        part = rows.slice(first, after - first)
        profiler = Profiler(columns(flights_problem), "America/New_York", event_time="sched_dep")
        profiler.add(part)
        found[date.fromisoformat(part["_day"][0].as_py())] = profiler.result()
    return found
