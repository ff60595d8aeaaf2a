"""Live quality against the promise, whole and by slice; calibration."""

import math

import numpy as np
import pytest

from ml.monitor import promise, quality
from tests.unit.monitor.live_kit import ORDERS, days_of, evidence, interval, labelled, scored, table

SIZE = 3500


def judged(scores, labels, days, columns=None, **more):
    known = labelled(scores, labels, days, columns or table(len(labels), 3))
    found = quality.of_labelled(evidence(columns=table(300, 4), scores=scores[:300], known=known, **more), ORDERS)
    return {finding.subject: finding for finding in found}


def week(seed, *, size=SIZE, num_days=7):
    return (*scored(size, seed, num_days=num_days), days_of(size, num_days))


def test_a_usual_week_keeps_the_promise_and_every_slice_is_told():
    found = judged(*week(2))
    assert not [finding.sentence for finding in found.values() if finding.drifted]
    assert {"auc", "calibration", "calibration slope", "auc in area=north", "auc in area=south"} < set(found)
    assert "of 7 days" in found["auc"].sentence and "a decision cost" in found["auc"].sentence


def test_flipped_labels_are_drift_of_everything():
    scores, labels = scored(SIZE, 2)
    found = judged(scores, 1 - labels, days_of(SIZE, 7))
    assert all(found[name].drifted for name in ("auc", "calibration", "calibration slope", "auc in area=west"))


def test_one_bad_slice_is_named_first_and_the_others_are_not_blamed():
    scores, labels = scored(SIZE, 2)
    columns = table(SIZE, 3)
    bad = np.array(columns["area"].to_pylist()) == "south"
    labels[bad] = (np.random.default_rng(5).random(bad.sum()) < 0.3).astype(float)
    found = judged(scores, labels, days_of(SIZE, 7), columns)
    moved = [name for name, finding in found.items() if finding.drifted and " in " in name]
    assert moved == ["auc in area=south"]
    assert next(name for name in found if " in " in name) == "auc in area=south", "the worst comes first"


def test_a_rate_that_is_off_by_more_than_days_vary_is_drift_and_one_stormy_day_is_not():
    scores, _ = scored(SIZE, 2)
    lower = np.clip(scores - 0.15, 0, 1)
    rng, days = np.random.default_rng(6), days_of(SIZE, 7)
    assert judged(scores, (rng.random(SIZE) < lower).astype(float), days)["calibration"].drifted
    stormy = np.where(days == "2026-03-07", 0.99, scores)
    assert not judged(scores, (rng.random(SIZE) < stormy).astype(float), days)["calibration"].drifted


def test_the_interval_over_days_holds_the_truth_as_often_as_it_says_and_the_one_over_rows_does_not():
    """The share of yes, whose days vary a lot: intervals over 7 days hold the long-run gap, those over rows do not."""
    num_days, num_rows = 0, 0
    for seed in range(60):
        scores, labels = scored(1400, seed, between=0.6)
        gap = 0.013  # a symmetric level of the days raises the rate by so much
        by_days = promise.over_days(scores - labels, days_of(1400, 7), 0.95)
        by_rows = by_days if seed % 2 else promise.over_days(scores - labels, None, 0.95)
        num_days += by_days.low <= -gap <= by_days.high
        num_rows += seed % 2 == 0 and by_rows.low <= -gap <= by_rows.high
    assert num_days >= 50, "of 60 at 95 %; fewer has a chance of 0.001"
    assert num_rows < 24, "of 30 at what they call 95 %"


def test_with_one_day_of_labels_the_days_own_variation_comes_from_the_evaluation():
    scores, labels = scored(800, 8, num_days=1)
    known = labelled(scores, labels, np.full(800, "2026-03-09"))
    rows = promise.live(known, None, "auc", 0.95)
    wide = promise.live(known, interval(0.75, 0.05), "auc", 0.95)
    assert wide.value == rows.value and wide.error == pytest.approx(0.05 * math.sqrt(7)) and wide.freedom == 6
    assert rows.error is not None and rows.error < 0.05


def test_the_promise_is_an_estimate_too():
    live = interval(0.70, 0.02)
    assert promise.drop(live, interval(0.78, 0.001), "auc")[1] < promise.drop(live, interval(0.78, 0.03), "auc")[1]
    worse, p_value = promise.drop(interval(0.5, 0.01), interval(0.4, 0.01), "log_loss")
    assert worse == pytest.approx(0.1) and p_value < 0.001, "more loss is worse"


def test_slices_of_few_days_are_not_assessable():
    found = judged(*week(2, num_days=3))
    assert found["slices"].drifted is None and not [name for name in found if " in " in name]


def test_what_decisions_cost_more_is_the_mean_over_rows():
    scores, labels, days = np.array([0.9, 0.1, 0.9, 0.1] * 100), np.array([0.0, 1.0, 1.0, 0.0] * 100), days_of(400, 5)
    whole = evidence(columns=table(300, 4), scores=scores)
    evaluated = whole.reference.evaluated
    found = quality.cost_gap(labelled(scores, labels, days), evaluated, ORDERS)
    assert evaluated and found
    promised = evaluated.costs["chosen"]
    assert found.value == pytest.approx(0.5 - promised), "every other decision is wrong and costs 1"


def test_few_labels_are_not_assessable():
    found = judged(*week(2, size=150))
    assert {finding.drifted for finding in found.values()} == {None}
