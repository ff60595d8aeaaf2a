"""What nights left behind, counted."""

from ml.backtest.night import Played
from ml.backtest.outcome import grounds


def played(night: int, rule: str, **more) -> Played:
    return Played(night=f"2013-03-{night:02}", rule=rule, why=f"{rule} on day {night}", **more)


def test_grounds_are_counted_with_their_last_words_and_apart_where_one_trains():
    nights = [played(1, "first", trained=True), *(played(day, "weekly") for day in (2, 3)), played(4, "weekly", trained=True)]
    found = grounds(nights)
    assert [(ground.rule, ground.trained, ground.num_nights) for ground in found] == [
        ("weekly", False, 2),
        ("first", True, 1),
        ("weekly", True, 1),
    ]
    assert found[0].words == "weekly on day 3"


def test_a_night_is_alarmed_when_drift_asked_and_also_when_a_policy_trained_for_drift_that_asked_nothing():
    assert played(1, "too soon", asked=("v1-2013-03-01",)).alarmed
    assert played(1, "drift", trained=True).alarmed
    assert not played(1, "nightly", trained=True).alarmed
