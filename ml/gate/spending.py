"""Confidence is spent over nights: what a year of gates may promote by luck is a budget, and every night takes a little of it.

A test at 95 % that is asked again every night lets an equal model through nine times a year. So [gate]
lucky_promotions_per_year accrues day by day, every comparison with the champion takes a share of what has accrued as its level,
and what the levels of any 365 days add up to is at most the budget. The chance of a lucky promotion is at most the level,
whatever the other nights found, so the expected number in a year is at most the sum, even though nights share most of their
test rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

YEAR = 365
MOST_DAYS = 14  # of accrual that can lie unspent; a gate that rests for a month does not save up for a careless night
SHARE = 0.5  # of what has accrued, per comparison: nightly looks take a day's worth each, weekly ones a week's
START = 2.0  # days of accrual at the beginning, what nightly looks leave and find


@dataclass(frozen=True)
class Look:
    """A comparison with the champion that could have promoted: when, and at what level."""

    day: date
    spent: float


def level(looks: Sequence[Look], today: date, *, per_year: float) -> float:
    """The level of today's test: the largest chance with which it may promote an equal model.

    Args:
        looks: earlier comparisons, oldest first.
        per_year: the budget, [gate] lucky_promotions_per_year.
    """
    rate = per_year / (YEAR + MOST_DAYS)
    held, day = START * rate, looks[0].day if looks else today
    for look in looks:
        held = max(min(held + rate * max((look.day - day).days, 0), MOST_DAYS * rate) - look.spent, 0.0)
        day = max(day, look.day)
    return min(SHARE * min(held + rate * max((today - day).days, 0), MOST_DAYS * rate), 0.5)
