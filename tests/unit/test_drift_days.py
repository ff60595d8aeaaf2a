"""What days are worth: reference against reference, on rows that hang together by day and on rows that do not."""

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from ml import drift

Ints = npt.NDArray[np.int64]
CELLS, ROWS, DAYS = 10, 330, 53
LEVELS = (0.01, 0.002, 0.0005)


def shares(rng: np.random.Generator, days: int, moves: float) -> npt.NDArray[np.float64]:
    """Decile shares of a normal value whose mean moves from day to day, by so many of its deviations."""
    edges = stats.norm.ppf(np.linspace(0, 1, CELLS + 1))
    return np.diff(stats.norm.cdf(edges - rng.normal(0, moves, days)[:, None]), axis=1)


def drawn(rng: np.random.Generator, moves: float, rows: int) -> tuple[Ints, Ints]:
    """Counts of the reference's days and of 60 further days, from one world."""
    of_days = shares(rng, DAYS + 60, moves)
    return rng.multinomial(ROWS, of_days[:DAYS]), rng.multinomial(rows, of_days[DAYS:])


def p_values(moves: float, rows: int, *, days: bool) -> npt.NDArray[np.float64]:
    rng, found = np.random.default_rng(int(100 * moves) + rows), []
    for _ in range(400):
        reference, current = drawn(rng, moves, rows)
        known = drift.usual(reference) if days else drift.INDEPENDENT
        statistic = drift.chi_square(reference.sum(axis=0), current)
        found.append(known.p_value(statistic, CELLS - 1, (DAYS * ROWS, rows)))
    return np.concatenate(found)


@pytest.mark.parametrize("rows", [200, 2000])
@pytest.mark.parametrize("moves", [0.0, 0.3, 1.0])
def test_a_usual_day_is_called_unusual_about_as_often_as_the_level_says(moves, rows):
    """The tail of days that move in one direction is known to a factor of three; one kind has a sixth of the budget."""
    found = p_values(moves, rows, days=True)
    for level in LEVELS:
        assert (found < level).mean() < (3.5 if moves else 1) * level
    assert (found < 0.05).mean() > 0.01, "too few are as wrong as too many: they would find nothing"


@pytest.mark.parametrize("rows", [200, 2000])
def test_without_what_days_are_worth_every_second_windy_day_is_an_alarm(rows):
    assert (p_values(1.0, rows, days=False) < 0.002).mean() > 0.5


def test_rows_that_hang_together_by_day_are_worth_as_much_as_their_design_effect_says():
    """Twins: each row is there five times on its day, so that every statistic is five times as large."""
    rng = np.random.default_rng(3)
    once = rng.multinomial(60, np.full(CELLS, 1 / CELLS), 400)
    known = drift.usual(5 * once)
    assert known.design_effect((400 * 300, 300)) == pytest.approx(5, rel=0.1)
    assert drift.usual(once).design_effect((400 * 60, 60)) == pytest.approx(1, abs=0.1)


def test_few_days_or_few_rows_leave_rows_independent():
    rng = np.random.default_rng(4)
    day = rng.multinomial(300, np.full(CELLS, 1 / CELLS), 4)
    assert drift.usual(day) is drift.INDEPENDENT
    assert drift.usual(rng.multinomial(10, np.full(CELLS, 1 / CELLS), 50)) is drift.INDEPENDENT
    assert drift.usual(np.full((50, 1), 300)) is drift.INDEPENDENT


def test_chi_square_is_scipys_for_many_days_at_once():
    rng = np.random.default_rng(5)
    reference, current = rng.multinomial(900, np.full(CELLS, 1 / CELLS)), rng.multinomial(200, np.full(CELLS, 1 / CELLS), 7)
    theirs = [stats.chi2_contingency([reference, day], correction=False).statistic for day in current]
    assert drift.chi_square(reference, current) == pytest.approx(theirs)


@pytest.mark.parametrize("moves", [0.0, 0.15])
@pytest.mark.parametrize("rows", [200, 2000])
def test_the_smallest_shift_is_seen_in_about_four_days_of_five(moves, rows):
    """Shares of every second decile moved by that much, on days that otherwise are as usual."""
    rng, level, seen = np.random.default_rng(rows), 0.0005, []
    for _ in range(60):
        reference, _ = drawn(rng, moves, rows)
        known, sizes = drift.usual(reference), (DAYS * ROWS, rows)
        least = drift.smallest(known, CELLS - 1, sizes, level)
        direction = np.resize([1.0, -1.0], CELLS)
        steps = np.linspace(0, 0.099, 500)
        apart = [drift.distance(np.full(CELLS, 0.1), 0.1 + step * direction) for step in steps]
        planted = shares(rng, 40, moves) + steps[np.searchsorted(apart, least).clip(max=499)] * direction
        current = rng.multinomial(rows, planted.clip(0) / planted.clip(0).sum(axis=1, keepdims=True))
        seen.append(known.p_value(drift.chi_square(reference.sum(axis=0), current), CELLS - 1, sizes) < level)
    assert 0.65 < np.mean(seen) < (1 if moves else 0.95), "days that move make it cautious where they do not"


def test_nothing_can_be_seen_where_days_have_nothing_in_common():
    rng = np.random.default_rng(6)
    known = drift.usual(rng.multinomial(300, rng.dirichlet(np.full(CELLS, 0.05), 12)))
    assert drift.smallest(known, CELLS - 1, (3600, 300), 1e-4) == 1


def test_spans_are_counted_back_from_the_last_day_and_too_few_become_days():
    days = np.datetime64("2026-01-01") + np.arange(70)
    codes = np.zeros(70, np.int64)
    assert drift.by_day(codes, days, 1, length=7).ravel().tolist() == [7] * 10
    assert drift.by_day(codes[:60], days[:60], 1, length=7).ravel().tolist() == [1] * 60
    assert drift.by_day(codes, days, 1, length=6).ravel().tolist() == [6] * 11 + [4]
    assert drift.by_day(codes[:0], days[:0], 1).shape == (0, 1)
