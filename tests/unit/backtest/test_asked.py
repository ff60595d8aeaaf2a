"""What may be asked of a backtest, and which nights it means."""

from datetime import UTC, datetime, timedelta

import pytest

from ml.backtest.asked import POLICIES, Asked, weeks
from ml.errors import ConfigError
from ml.window import Window
from tests.unit.backtest.backtest_kit import FLIGHTS

MARCH = Window.parse("2013-03-08/2013-03-15")


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"policies": ("nightly", "nightli")}, "nightli: name each once"),
        ({"policies": ("nightly", "nightly")}, "name each once"),
        ({"policies": ()}, "never, nightly, weekly, drift, performance, evergreen"),
        ({"share": 0.0}, "--share above 0"),
        ({"every": 0}, "--every and --workers of at least 1"),
        ({"every": 4}, "fewer than 2 nights 4 days apart"),
    ],
)
def test_what_cannot_be_replayed_is_refused_with_what_to_write(wrong, told):
    with pytest.raises(ConfigError, match=told):
        Asked(MARCH, **wrong)


def test_all_policies_are_tried_unless_some_are_named():
    assert Asked(MARCH).policies == POLICIES


def test_a_night_begins_at_the_scheduled_time_of_day_in_the_zone_of_the_problem_and_ends_with_the_next():
    nights = Asked(MARCH).nights(FLIGHTS)
    assert len(nights) == 7
    assert nights[0][0] == datetime(2013, 3, 8, 8, tzinfo=UTC)
    assert [until for _, until in nights[:-1]] == [at for at, _ in nights[1:]]
    assert nights[2][1].astimezone(UTC) - nights[2][0].astimezone(UTC) == timedelta(hours=24)
    assert nights[1][1].astimezone(UTC) - nights[1][0].astimezone(UTC) == timedelta(hours=23)  # clocks go forward on the 10th
    assert nights[-1][1] == datetime(2013, 3, 15, 7, tzinfo=UTC)


def test_nights_several_days_apart_answer_until_the_next_and_the_last_until_the_end():
    nights = Asked(MARCH, every=3).nights(FLIGHTS)
    assert [(at.day, until.day) for at, until in nights] == [(8, 11), (11, 14), (14, 15)]


def test_pieces_cover_the_span_and_a_rest_joins_the_last():
    assert [str(piece) for piece in weeks(Window.parse("2013-03-01/2013-03-17"), 7)] == [
        "2013-03-01/2013-03-08",
        "2013-03-08/2013-03-17",
    ]
    assert weeks(Window.parse("2013-03-01/2013-03-04"), 7) == [Window.parse("2013-03-01/2013-03-04")]
