"""Windows held against each other on real flights of 2013, in time order and shuffled."""

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from ml import problem as problems
from ml.policy import Known, compare, decide, must_look
from ml.problem import Memory
from ml.samples import flights
from ml.settings import PROJECT
from ml.tables import DAY
from ml.window import Window

FLIGHTS = problems.load("flights", PROJECT / "ml" / "problems")
NEW_YEAR = date(2013, 1, 1)
DAY_LONG = timedelta(days=1)
SLIDING: dict[Memory, date] = {"sliding": NEW_YEAR}


@pytest.fixture(scope="module")
def year() -> pa.Table:
    """A quarter of the flights of 2013 that have a label."""
    rows = flights.read()
    rows = rows.filter(pc.is_valid(rows["late_15"]))
    rows = rows.filter(pa.array(np.random.default_rng(0).random(rows.num_rows) < 0.25))
    local = pc.local_timestamp(rows["sched_dep"].cast(pa.timestamp("us", FLIGHTS.source.timezone)))
    named = {name: rows[name] for name in FLIGHTS.features}
    return pa.table(named | {DAY: pc.strftime(local, "%Y-%m-%d"), "_label": rows["late_15"]})


@pytest.fixture(scope="module")
def shuffled(year: pa.Table) -> pa.Table:
    """The same flights with their days dealt out anew: nothing ever changes."""
    return dealt_anew(year)


def dealt_anew(rows: pa.Table) -> pa.Table:
    dealt = rows.take(pa.array(np.random.default_rng(1).permutation(rows.num_rows)))
    return dealt.set_column(dealt.column_names.index(DAY), DAY, rows[DAY])


def before(rows: pa.Table, day: date) -> pa.Table:
    return compare.within(rows, Window(NEW_YEAR, day))


def test_everything_that_judges_is_newer_than_all_that_taught():
    days = [NEW_YEAR + timedelta(days=number) for number in range(90)]
    turns = compare.plan(days, {"sliding": days[-60], "expanding": NEW_YEAR}, gap_days=2)
    assert [(turn.judged.start, turn.judged.days) for turn in turns] == [(days[-21], 7), (days[-14], 7), (days[-7], 7)]
    for turn in turns:
        assert {learned.end for learned in turn.learned.values()} == {turn.judged.start - timedelta(days=2)}
        assert turn.learned["sliding"].days == 60 - 2 and turn.learned["expanding"].start == NEW_YEAR


def test_a_break_takes_part_as_soon_as_a_week_after_it_can_teach():
    days = [NEW_YEAR + timedelta(days=number) for number in range(90)]
    turns = compare.plan(days, {"sliding": days[-60], "break": days[-15]}, gap_days=0)
    assert ["break" in turn.learned for turn in turns] == [False, False, True]
    assert all("break" not in turn.learned for turn in compare.plan(days, {"sliding": days[-60], "break": days[-13]}, gap_days=0))


def test_what_march_brought_is_worth_learning(year):
    """A model of January against one that goes with the time, judged in the middle of March."""
    look = compare.look(before(year, date(2013, 3, 15)), FLIGHTS, SLIDING, Window(NEW_YEAR, date(2013, 1, 24)))
    assert look.num_days == 21 and look.best is not None
    assert look.best.share > 0.02 and look.best.p_value < 0.05


def test_answers_of_another_kind_are_forgotten(shuffled):
    """From February on late is on time and the other way round: what was before the break teaches the wrong thing."""
    after = pc.greater_equal(shuffled[DAY], "2013-02-01")
    flipped = pc.if_else(after, pc.invert(shuffled["_label"]), shuffled["_label"])
    rows = shuffled.set_column(shuffled.column_names.index("_label"), "_label", flipped)
    options: dict[Memory, date] = {"sliding": NEW_YEAR, "break": date(2013, 2, 1)}
    look = compare.look(before(rows, date(2013, 3, 8)), FLIGHTS, options, Window(NEW_YEAR, date(2013, 1, 24)))
    assert look.best is not None and (look.best.memory, look.best.start) == ("break", date(2013, 2, 1))
    assert look.best.gain is not None and look.best.gain > 0.2 and look.best.p_value < 0.001


@pytest.mark.parametrize("days", [0, 10, 27])
def test_too_few_days_are_told_and_nothing_is_concluded(year, days):
    look = compare.look(year.slice(0, 0) if days == 0 else before(year, NEW_YEAR + timedelta(days=days)), FLIGHTS, SLIDING, None)
    assert (look.best is None or look.best.gain is None) and look.why_not


def test_labels_that_are_all_the_same_are_told(year):
    same = year.set_column(year.column_names.index("_label"), "_label", pa.array([False] * year.num_rows))
    look = compare.look(before(same, date(2013, 3, 1)), FLIGHTS, SLIDING, Window(NEW_YEAR, date(2013, 1, 24)))
    assert look.best is None and "late" in look.why_not


def retrains(rows: pa.Table, first: date, last: date, windows: tuple[Memory, ...]) -> list[date]:
    """The nights on which `evergreen` trains, when the first training was on `first`; labels come a day late."""
    rule, test_days, trained_on = FLIGHTS.retraining.model_copy(update={"windows": windows}), timedelta(days=7), first
    counts = {date.fromisoformat(one["values"]): one["counts"] for one in pc.value_counts(rows[DAY]).to_pylist()}

    def num_rows(start: date, end: date) -> int:
        return sum(counts.get(day, 0) for day in Window(start, end))

    def starts(end: date) -> dict[Memory, date]:
        found = {"sliding": max(end - timedelta(days=60), NEW_YEAR), "expanding": NEW_YEAR}
        return {name: found[name] for name in windows}

    def learned(night: date) -> Window:
        end = night - timedelta(days=1)
        return Window(starts(end)["sliding"], end - test_days)

    stay, looked, nights = learned(first), first, []
    for night in Window(first + timedelta(days=1), last):
        tested = stay.end + test_days
        known = Known(today=night, trained_on=trained_on, serving=True, num_learned=num_rows(stay.start, tested))
        known = replace(known, num_new=num_rows(looked - timedelta(days=1), night - timedelta(days=1)) if night > looked else 0)
        if must_look(known, rule):
            looked = night
            known = replace(known, look=compare.look(before(rows, learned(night).end), FLIGHTS, starts(night - DAY_LONG), stay))
        if (decision := decide(known, rule)).train:
            trained_on, looked = night, night
            stay = replace(learned(night), start=decision.start or learned(night).start)
            nights.append(night)
    return nights


def test_where_nothing_changes_a_quarter_sees_at_most_one_training(year):
    rows = dealt_anew(year.filter(pa.array(np.random.default_rng(2).random(year.num_rows) < 0.3)))
    found = retrains(rows, date(2013, 3, 4), date(2013, 6, 2), ("sliding",))
    assert len(found) <= 1, found
