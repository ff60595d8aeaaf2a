"""A year of nightly gates promotes an equal model by luck at most as often as the problem file says."""

from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml import metrics
from ml.gate import Look, level

NIGHTS, WEEK, ROWS = 1000, 7, 60  # rows a day
FIRST = date(2013, 1, 1)


class Stream:
    """Days of rows with storms; every model knows the truth equally well, with errors of its own per row and per day."""

    def __init__(self, seed: int) -> None:
        self.generator, days = np.random.default_rng(seed), NIGHTS + WEEK
        self.day = np.repeat(np.arange(days), ROWS)
        self.truth = self.generator.normal(size=len(self.day)) + self.generator.standard_t(3, days)[self.day]
        self.labels = (self.generator.random(len(self.day)) < 1 / (1 + np.exp(1 - self.truth))).astype(float)

    def model(self, better: float = 0.0) -> np.ndarray:
        """Scores of all rows; `better` takes away that share of the errors."""
        size, days = len(self.day), NIGHTS + WEEK
        errors = self.generator.normal(size=size) + 0.5 * self.generator.standard_t(3, days)[self.day]
        return self.truth + (1 - better) * errors


def nights(stream: Stream, per_year: float | None, *, better: float = 0.0, every: int = 1) -> int:
    """Promotions in 1,000 nights that each judge a new model on the last week; without a budget at 95 %, night by night."""
    champion, promoted, looks = stream.model(), 0, []
    for night in range(0, NIGHTS, every):
        today, rows = FIRST + timedelta(days=night), slice(night * ROWS, (night + WEEK) * ROWS)
        days = metrics.Draws.over(stream.day[rows], WEEK * ROWS, seed=night, repetitions=300)
        candidate = champion.copy()
        candidate[rows] = stream.model(better)[rows]
        gain = metrics.paired_gain("auc", stream.labels[rows], candidate[rows], champion[rows], confidence=0.95, draws=days)
        tonight = level(looks, today, per_year=per_year) if per_year else 0.025
        looks.append(Look(today, tonight))
        if metrics.lower(gain, tonight) > 0:
            champion, promoted = candidate, promoted + 1
    return promoted


def most(expected: float) -> float:
    """More than this in 1,000 nights has a chance below 1 in 1,000 when `expected` is the mean (Poisson)."""
    from scipy.stats import poisson

    return float(poisson.ppf(0.999, expected))


@pytest.mark.parametrize("per_year", [1, 12])
def test_equal_models_are_promoted_at_most_as_often_as_stated(per_year):
    stated = per_year * NIGHTS / 365
    promoted = nights(Stream(per_year), per_year)
    assert promoted <= most(stated)


def test_without_a_budget_luck_promotes_more_often():
    """Nightly gates at 95 %; a lucky champion keeps its luck while the week lasts, so it is fewer than 25."""
    assert nights(Stream(5), None) > most(1 * NIGHTS / 365)


@pytest.mark.parametrize("every", [1, 7, 30])
def test_the_budget_of_any_year_is_not_overspent_however_often_the_gate_is_asked(every):
    days = range(0, 3 * 365, every)
    looks: list[Look] = []
    for day in days:
        looks.append(Look(FIRST + timedelta(days=day), level(looks, FIRST + timedelta(days=day), per_year=1)))
    for start in days:
        inside = [look.spent for look in looks if start <= (look.day - FIRST).days < start + 365]
        assert sum(inside) <= 1 + 1e-9
    if every < 30:
        assert looks[-1].spent == pytest.approx(every / 379, rel=0.01)  # nothing is lost either


@given(st.lists(st.integers(0, 40), min_size=1, max_size=60), st.floats(0.1, 50))
def test_no_pattern_of_nights_spends_more_than_the_budget_of_a_year(gaps, per_year):
    """Many gates on one day, or none for weeks."""
    looks: list[Look] = []
    day = FIRST
    for gap in gaps:
        day += timedelta(days=gap)
        looks.append(Look(day, level(looks, day, per_year=per_year)))
    for look in looks:
        year = [one.spent for one in looks if timedelta(0) <= one.day - look.day < timedelta(days=365)]
        assert sum(year) <= per_year + 1e-9


def test_a_second_gate_on_one_day_finds_less():
    first = level([], FIRST, per_year=1)
    assert level([Look(FIRST, first)], FIRST, per_year=1) == pytest.approx(first / 2)
