"""The sequential tests of a rollout: how often they cry wolf when looked at after every event, and what they find."""

import numpy as np
import pytest

from ml.rollout import Rate, against, compare, paired, place

LEVEL = 0.05
RUNS = 500
MOST_BY_CHANCE = 0.05 + 2 * (0.05 * 0.95 / RUNS) ** 0.5  # a test that errs exactly as often as stated may show this much


def cost(rng: np.random.Generator, size: int, wrong: float, worth: float = 1.0) -> np.ndarray:
    return worth * (rng.random(size) < wrong)


@pytest.mark.parametrize(
    ("wrong", "worth", "share"), [(0.2, 1.0, 0.5), (0.01, 20.0, 0.5), (0.5, 1.0, 0.5), (0.2, 1.0, 0.1), (0.2, 1.0, 0.9)]
)
def test_two_equal_versions_are_told_apart_at_most_as_often_as_stated_however_often_one_looks(wrong, worth, share):
    rng = np.random.default_rng(7)
    false = 0
    for _ in range(RUNS):
        differences = paired(cost(rng, 4000, wrong, worth), cost(rng, 4000, wrong, worth), share)
        found = compare(differences, worth, level=LEVEL)
        false += found.better or found.worse
    assert false / RUNS <= LEVEL


def test_a_test_that_is_right_only_at_the_end_fails_the_same_simulation():
    """The simulation can tell: a t-test looked at after every hundred outcomes cries wolf several times as often."""
    rng = np.random.default_rng(7)
    number = np.arange(1, 4001)
    false = 0
    for _ in range(RUNS):
        differences = paired(cost(rng, 4000, 0.2), cost(rng, 4000, 0.2), 0.5)
        mean = np.cumsum(differences) / number
        error = np.sqrt((np.cumsum(differences**2) / number - mean**2) / number)
        false += bool((np.abs(mean[99::100]) > 1.96 * error[99::100]).any())
    assert false / RUNS > 3 * MOST_BY_CHANCE


@pytest.mark.parametrize(("champion", "challenger"), [(0.25, 0.20), (0.20, 0.25)])
def test_a_real_difference_is_found_with_the_stated_power_and_on_the_right_side(champion, challenger):
    rng = np.random.default_rng(11)
    found = [compare(paired(cost(rng, 5000, champion), cost(rng, 5000, challenger), 0.5), 1.0, level=LEVEL) for _ in range(200)]
    right = [one.better if challenger < champion else one.worse for one in found]
    wrong = [one.worse if challenger < champion else one.better for one in found]
    assert np.mean(right) >= 0.9
    assert np.mean(wrong) <= LEVEL / 2


def test_within_the_margin_a_challenger_is_not_called_worse():
    rng = np.random.default_rng(3)
    stopped = 0
    for _ in range(RUNS):
        differences = paired(cost(rng, 4000, 0.20), cost(rng, 4000, 0.23), 0.5)
        stopped += compare(differences, 1.0, level=LEVEL, margin=0.05).worse
    assert stopped / RUNS <= LEVEL
    differences = paired(cost(rng, 4000, 0.20), cost(rng, 4000, 0.40), 0.5)
    assert compare(differences, 1.0, level=LEVEL, margin=0.05).worse


def test_more_outcomes_never_change_what_was_told():
    rng = np.random.default_rng(5)
    differences = paired(cost(rng, 6000, 0.3), cost(rng, 6000, 0.2), 0.5)
    told = [compare(differences[:size], 1.0, level=LEVEL).better for size in range(0, 6001, 500)]
    assert told == sorted(told)
    assert told[0] is False
    assert told[-1] is True


def test_outcomes_of_the_smaller_arm_are_paired_with_means_of_the_larger():
    champion, challenger = np.array([0.0, 1.0, 1.0, 1.0, 0.0]), np.array([1.0, 0.0, 1.0])
    assert paired(champion, challenger, 1 / 3).tolist() == [0.5, -1.0]
    assert paired(challenger, champion, 2 / 3).tolist() == [-0.5, 1.0]
    assert len(paired(champion, np.zeros(0), 0.5)) == 0


@pytest.mark.parametrize("allowed", [0.01, 0.2])
def test_a_rate_that_is_just_allowed_is_stopped_at_most_as_often_as_stated_when_looked_at_after_each(allowed):
    rng = np.random.default_rng(13)
    stopped = 0
    for _ in range(RUNS):
        counts = np.cumsum(rng.random(1500) < allowed)
        stopped += any(against(Rate(int(counts[n - 1]), n), allowed) >= 1 / LEVEL for n in range(1, 1501, 3))
    assert stopped / RUNS <= LEVEL


def test_what_always_fails_is_stopped_after_three_and_what_never_does_not_at_all():
    assert [against(Rate(n, n), 0.01) >= 1000 for n in (1, 2, 3)] == [False, False, True]
    assert against(Rate(0, 10_000), 0.01) < 1
    assert against(Rate(600, 10_000), 0.01) >= 1000
    assert against(Rate(10**6, 10**6), 0.01) > 1e300


def test_entities_stay_where_they_are_and_shares_hold():
    entities = [f"customer {n}" for n in range(20_000)]
    places = np.array([place("move 7", one) for one in entities])
    assert places.tolist() == [place("move 7", one) for one in entities]
    assert [float((places < share).mean()) for share in (0.05, 0.25)] == pytest.approx([0.05, 0.25], abs=0.01)
    others = np.array([place("move 9", one) for one in entities])
    both = float(((places < 0.25) & (others < 0.25)).mean())
    assert both == pytest.approx(0.0625, abs=0.01)
