"""Which days a run is about, whatever started it."""

from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.errors import ConfigError
from ml.window import Window, resolve

NIGHT = datetime(2013, 2, 1, 8, tzinfo=UTC)  # three in the morning in New York
ZONE = "America/New_York"


def window(asked=None, *, now=NIGHT, newest=None, lookback_days=3):
    return resolve(asked, now=now, zone=ZONE, newest=newest, history_days=31, lookback_days=lookback_days)


def test_first_night_reads_the_history_up_to_yesterday():
    assert window() == Window(date(2013, 1, 1), date(2013, 2, 1))


def test_later_night_reads_what_is_new_and_the_days_whose_labels_came_late():
    assert window(newest=date(2013, 1, 30)) == Window(date(2013, 1, 28), date(2013, 2, 1))


def test_missed_nights_are_caught_up_in_one():
    assert window(newest=date(2013, 1, 20), lookback_days=0) == Window(date(2013, 1, 21), date(2013, 2, 1))


def test_same_night_again_looks_back_only():
    assert window(newest=date(2013, 1, 31)) == Window(date(2013, 1, 29), date(2013, 2, 1))


def test_what_a_person_asks_for_wins():
    assert window("2013-01-05", newest=date(2013, 1, 31)) == Window(date(2013, 1, 5), date(2013, 1, 6))


@pytest.mark.parametrize("asked", ["2013-02-01", "2013-01-01/2013-02-02", "2014-01-01"])
def test_a_day_that_is_not_over_is_refused(asked):
    with pytest.raises(ConfigError, match="only whole days are read"):
        window(asked)


def test_without_a_look_back_the_same_night_reads_yesterday_again():
    assert window(newest=date(2013, 1, 31), lookback_days=0) == Window(date(2013, 1, 31), date(2013, 2, 1))


def test_today_is_cut_in_the_zone_of_the_problem():
    late_evening = datetime(2013, 2, 1, 3, tzinfo=UTC)  # still January in New York
    assert window(now=late_evening).end == date(2013, 1, 31)


@pytest.mark.parametrize("day, hours", [("2013-03-10", 23), ("2013-11-03", 25), ("2013-06-01", 24)])
def test_days_have_the_hours_they_have(day, hours):
    start, end = Window.parse(day).instants(ZONE)
    assert (end.astimezone(UTC) - start.astimezone(UTC)).total_seconds() == hours * 3600


@pytest.mark.parametrize(
    "text",
    ["yesterday", "2013-02-30", "2013-01-02/2013-01-02", "2013-01-02/2013-01-01", "2013-01-01/x", "2013-01-01/", "9999-12-31"],
)
def test_nonsense_is_refused(text):
    with pytest.raises(ConfigError, match=r"2013|window"):
        Window.parse(text)


@given(start=st.dates(date(2000, 1, 1), date(2030, 1, 1)), days=st.integers(1, 400))
def test_text_and_window_are_one(start, days):
    from datetime import timedelta

    one = Window(start, start + timedelta(days=days))
    assert Window.parse(str(one)) == one
    assert len(list(one)) == one.days == days
