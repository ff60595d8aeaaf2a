"""Quality without labels: expected metrics, losses of numbers, and how far off they may be; on real flights in test_flights."""

import numpy as np
import pyarrow as pa
import pytest

from ml import metrics
from ml.monitor import estimate
from ml.monitor.estimate import Side
from ml.monitor.evidence import Truth
from tests.unit.monitor.live_kit import ORDERS, days_of, evidence, problem, reference, scored, table


def told(found):
    """What must be there."""
    assert found is not None
    return found


def plain(scores):
    return Side(scores, np.zeros((len(scores), 0), np.int64))


@pytest.mark.parametrize("name", ["auc", "average_precision", "log_loss", "brier", "accuracy"])
def test_the_expected_metric_is_the_mean_over_labels_drawn_from_the_probabilities(name):
    scores, _ = scored(2000, 1)
    rng, likely = np.random.default_rng(2), np.clip(scores * 0.9 + 0.03, 0, 1)
    drawn = [metrics.metric(name, (rng.random(2000) < likely).astype(float), scores) for _ in range(100)]
    error = float(np.std(drawn)) / 10
    assert estimate.expected(name, likely, scores, classes=False) == pytest.approx(np.mean(drawn), abs=4 * error + 5e-4)


@pytest.mark.parametrize("name", ["accuracy", "log_loss"])
def test_the_same_of_classes(name):
    rng = np.random.default_rng(3)
    scores = rng.dirichlet([1, 2, 3], 1000)
    drawn = []
    for _ in range(100):
        chosen = (rng.random((1000, 1)) < scores.cumsum(axis=1)).argmax(axis=1)
        drawn.append(metrics.metric(name, np.eye(3)[chosen], scores))
    found = estimate.expected(name, scores, scores, classes=True)
    assert found == pytest.approx(np.mean(drawn), abs=4 * float(np.std(drawn)) / 10)


def test_over_confident_scores_are_put_right_before_they_are_believed():
    scores, labels = scored(20_000, 1, between=0.0)
    bold = scores**3 / (scores**3 + (1 - scores) ** 3)
    likely = estimate.calibrate(bold, labels)(bold)
    assert np.abs(likely - scores).mean() < 0.02 < np.abs(bold - scores).mean()


def test_probabilities_of_classes_add_up_to_one():
    rng = np.random.default_rng(3)
    scores = rng.dirichlet([1, 2, 3], 500)
    found = estimate.calibrate(scores, np.eye(3)[rng.integers(0, 3, 500)])(scores)
    assert found.shape == scores.shape and np.allclose(found.sum(axis=1), 1)


def test_rows_that_are_harder_to_tell_apart_are_estimated_worse_and_usual_ones_are_not():
    truth = told(reference().tested)
    usual, _ = scored(2000, 5)
    hard, labels = scored(2000, 6, columns=np.random.default_rng(6).normal(-1, 0.3, 2000))
    policy = problem(quality_drop=0.05)
    easy = told(estimate.estimate(plain(usual), plain(truth.scores), truth, policy))
    hurt = told(estimate.estimate(plain(hard), plain(truth.scores), truth, policy))
    assert not estimate._finding(easy, policy).drifted and estimate._finding(hurt, policy).drifted
    assert hurt.quality.low <= metrics.metric("auc", labels, hard) <= hurt.quality.high
    assert hurt.quality.value == pytest.approx(metrics.metric("auc", labels, hard), abs=0.04)


def test_the_interval_of_a_new_days_truth_holds_it_as_often_as_it_says():
    held, number, policy = 0, 60, problem(confidence=0.9)
    for seed in range(number):
        scores, labels = scored(4200, seed, num_days=7, between=0.5)
        truth = Truth(scores, labels, days_of(4200, 7), {})
        fresh, later = scored(600, 1000 + seed, num_days=1, between=0.5)
        found = told(estimate.estimate(plain(fresh), plain(scores), truth, policy))
        held += found.quality.low <= metrics.metric("auc", later, fresh) <= found.quality.high
    assert held >= 45, "of 60 at 90 %; fewer has a chance of 0.001"


def numbers(size, seed, *, spread):
    """An answer is off by `spread`, and on large orders by four times as much."""
    rng = np.random.default_rng(seed)
    size_of = rng.choice([1.0, 2.0], size, p=[0.8, 0.2])
    scores = rng.normal(20, 3, size)
    return size_of, scores, scores + rng.normal(0, spread, size) * np.where(size_of > 1.5, 4, 1)


@pytest.mark.parametrize("name", ["mae", "rmse", "r2"])
def test_losses_of_numbers_follow_what_was_asked(name):
    asked, scores, labels = numbers(5000, 1, spread=1.0)
    truth = Truth(scores, labels, days_of(5000, 10), {})
    learned = Side(scores, asked[:, None].astype(np.int64))
    about = problem(name, "regression")
    later, fresh, true = numbers(3000, 2, spread=1.0)
    hard = later > 1.5
    every = Side(fresh, later[:, None].astype(np.int64))
    easy = told(estimate.estimate(every, learned, truth, about))
    hurt = told(estimate.estimate(every.only(hard), learned, truth, about))
    assert easy.quality.value == pytest.approx(metrics.metric(name, true, fresh), rel=0.15)
    assert hurt.quality.value == pytest.approx(metrics.metric(name, true[hard], fresh[hard]), rel=0.25, abs=0.1)
    assert hurt.probabilities is None


def test_an_evaluation_of_few_days_says_nothing_of_how_far_off_an_estimate_is():
    scores, labels = scored(2000, 1, num_days=3)
    truth = Truth(scores, labels, days_of(2000, 3), {})
    assert estimate.estimate(plain(scores), plain(scores), truth, ORDERS) is None


def test_as_a_finding_it_says_why_it_is_unknown():
    few = evidence(columns=table(50, 1), scores=scored(50, 1)[0])
    (finding,), found = estimate.of_answers(few, ORDERS)
    assert finding.drifted is None and found is None and "50 requests" in finding.sentence
    (told,), found = estimate.of_answers(evidence(columns=table(900, 1), scores=scored(900, 1)[0]), ORDERS)
    assert told.kind == "estimate" and told.drifted is False and "on days of the evaluation" in told.sentence
    assert found is not None and isinstance(found.probabilities, np.ndarray)


def test_columns_that_some_requests_lack_are_left_out_of_the_regression():
    whole = evidence(columns=table(900, 1), scores=scored(900, 1)[0])
    tested = told(whole.reference.tested)
    with_columns = Truth(tested.scores, tested.labels, tested.days, table(7000, 1))
    whole.columns["noise"] = pa.chunked_array([pa.array([1.0] * 100)])
    object.__setattr__(whole.reference, "tested", with_columns)
    served, learned = told(estimate.sides(whole, ORDERS))
    assert served.asked.shape == (900, 2) and learned.asked.shape == (7000, 2)
