"""Which answers are old enough to be judged, and labels that come later than they used to."""

import numpy as np
import pytest

from ml.monitor import delay
from ml.monitor.delay import Waits
from tests.unit.monitor.live_kit import ORDERS

POLICY = ORDERS.drift


def waits(num_days: int = 20, *, per_day: int = 200, delays=None, later: dict[int, float] | None = None, seed: int = 0) -> Waits:
    """Answers of every day up to now, labels after `delays` hours; `later` adds hours to the answers of a day (0 is today)."""
    rng = np.random.default_rng(seed)
    ago = np.repeat(np.arange(num_days), per_day)
    ages = ago * 24 + rng.uniform(0, 24, len(ago))
    took = rng.gamma(4, 6, len(ago)) if delays is None else delays(rng, len(ago))
    took = took + np.array([(later or {}).get(int(day), 0.0) for day in ago])
    return Waits(ages, np.where(took <= ages, took, np.nan), np.array([f"2026-03-{num_days - day:02d}" for day in ago]))


def test_the_age_at_which_nearly_all_labels_are_there_is_found_though_young_answers_still_wait():
    found = delay.arrival(waits())
    assert found.age(0.95) == pytest.approx(46.5, abs=2), "of gamma(4) times 6 hours"
    assert found.share(24.0) == pytest.approx(0.567, abs=0.03)


def test_answers_that_never_get_a_label_do_not_make_all_others_wait_for_ever():
    half = waits(delays=lambda rng, size: np.where(rng.random(size) < 0.5, np.inf, 24.0))
    assert delay.old_enough(half, delay.arrival(half))[0] == 24.0


def test_young_answers_whose_labels_come_by_the_answer_do_not_count():
    """A yes is known after an hour, a no after three days: the share of yes among young labels is wrong, among old ones right."""
    rng = np.random.default_rng(1)
    yes = rng.random(20 * 200) < 0.3
    found = waits(delays=lambda *_: np.where(yes, 1.0, 72.0))
    age, whole = delay.old_enough(found, delay.arrival(found))
    naive, counted = found.labelled, found.labelled & ((found.ages >= age) | np.isin(found.days, list(whole)))
    assert yes[naive & (found.ages < 72)].mean() == 1.0
    assert yes[counted].mean() == pytest.approx(0.3, abs=0.02)


def test_a_young_day_that_has_its_labels_already_counts():
    found = waits(delays=lambda rng, size: np.full(size, 0.0))
    age, whole = delay.old_enough(found, delay.arrival(found))
    assert age == 0.0 and len(whole) == 20


def test_without_any_label_nothing_is_old_enough_by_its_labels():
    nobody = waits(delays=lambda rng, size: np.full(size, np.inf))
    assert delay.old_enough(nobody, delay.arrival(nobody)) == (0.0, frozenset())
    assert delay.of_delay(nobody, POLICY).drifted is None


def test_labels_that_come_three_days_later_are_found_within_three_days_and_told():
    usual = delay.of_delay(waits(), POLICY)
    assert usual.drifted is False and usual.value == pytest.approx(0.0, abs=0.1)
    late = delay.of_delay(waits(later=dict.fromkeys(range(4), 72.0)), POLICY)
    assert late.drifted and late.value is not None and late.value > 0.3 and "had their label after" in late.sentence
    assert (late.kind, late.subject) == ("schema", "label delay")


def test_labels_that_stop_are_found():
    assert delay.of_delay(waits(later=dict.fromkeys(range(5), 1e6)), POLICY).drifted


def test_a_usual_delay_is_called_late_no_more_often_than_the_level_allows():
    """Days vary by themselves here: each has its own mean delay."""
    alarms = 0
    for seed in range(200):
        spread = dict(enumerate(np.random.default_rng([seed, 1]).normal(0, 3, 20)))
        alarms += bool(delay.of_delay(waits(later=spread, seed=seed), POLICY).drifted)
    assert alarms <= 3, "of 200 at a level of 0.0009; more than 3 has a chance of 0.0001"


def test_few_days_are_not_assessable():
    assert delay.of_delay(waits(num_days=4), POLICY).drifted is None
