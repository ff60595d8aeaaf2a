"""Days that are like a day: the same weekday, and the same season where a year of history holds it."""

from datetime import date

import numpy as np

from ml.monitor.likeness import like_days

FRIDAY = date(2026, 3, 6)
YEAR = np.datetime64("2025-03-01") + np.arange(370)


def test_two_months_hold_the_weekday_and_a_year_the_weekday_of_the_season():
    days = np.repeat(YEAR[-60:], 3)
    found = like_days(days, FRIDAY, 1)
    assert found is not None and found.name == "Fridays"
    assert {str(day) for day in np.unique(days[found.chosen])} >= {"2026-01-09", "2026-02-27"} and found.chosen.sum() == 3 * 8
    found = like_days(YEAR, FRIDAY, 1)
    assert found is not None and found.name == "Fridays of the season"
    chosen = YEAR[found.chosen]
    assert {day.astype(object).weekday() for day in chosen} == {4}
    assert {day.astype(object).month for day in chosen} == {2, 3, 4} and {day.astype(object).year for day in chosen} == {
        2025,
        2026,
    }


def test_windows_of_a_week_know_seasons_only():
    found = like_days(YEAR, FRIDAY, 7)
    assert found is not None and found.name == "the season" and 56 <= found.chosen.sum() <= 70
    assert like_days(YEAR[-200:], FRIDAY, 7) is None


def test_without_days_enough_there_is_none():
    assert like_days(None, FRIDAY, 1) is None and like_days(YEAR, None, 1) is None
    assert like_days(YEAR[-30:], FRIDAY, 1) is None
    assert like_days(YEAR[:0], FRIDAY, 1) is None
