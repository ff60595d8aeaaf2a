"""Quality measures: equal to scikit-learn, in range, and paired intervals that know what is shared."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from ml import metrics
from ml.errors import ConfigError

REFERENCES = {
    "auc": reference.roc_auc_score,
    "average_precision": reference.average_precision_score,
    "log_loss": reference.log_loss,
    "brier": reference.brier_score_loss,
}


def sample(seed: int, size: int = 400, noise: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    labels = (generator.random(size) < 0.3).astype(float)
    scores = 1 / (1 + np.exp(-(labels + noise * generator.normal(size=size))))
    return labels, np.round(scores, 2)  # rounding makes ties


@pytest.mark.parametrize("name", REFERENCES)
@pytest.mark.parametrize("seed", range(5))
def test_metric_equals_scikit_learn_also_with_weights(name, seed):
    labels, scores = sample(seed)
    assert metrics.metric(name, labels, scores) == pytest.approx(REFERENCES[name](labels, scores), abs=1e-9)
    weights = np.random.default_rng(seed).integers(0, 4, (1, len(labels))).astype(float)
    weighted = metrics.METRICS[name](labels, scores, weights)[0]
    assert weighted == pytest.approx(REFERENCES[name](labels, scores, sample_weight=weights[0]), abs=1e-9)


def test_interval_holds_the_truth_about_as_often_as_it_says():
    labels, scores = sample(0, 50_000)
    truth = metrics.metric("auc", labels, scores)
    inside = 0
    for seed in range(100):
        some = np.random.default_rng(seed).integers(0, len(labels), 400)
        interval = metrics.bootstrap("auc", labels[some], scores[some], confidence=0.9, seed=seed, repetitions=300)
        inside += interval.low <= truth <= interval.high
    assert 80 <= inside <= 98  # binomial(100, 0.9): outside with probability below 0.01


def test_paired_gain_is_narrower_than_two_intervals_and_positive_when_better():
    labels, good = sample(1, 3000, noise=1.0)
    worse = np.clip(good + np.random.default_rng(2).normal(0, 0.05, 3000), 0, 1)
    gain = metrics.paired_gain("auc", labels, good, worse, confidence=0.95)
    alone = metrics.bootstrap("auc", labels, good, confidence=0.95)
    assert gain.high - gain.low < (alone.high - alone.low) / 2
    assert metrics.paired_gain("log_loss", labels, good, 1 - good, confidence=0.95).low > 0


def test_equal_models_gain_nothing():
    labels, scores = sample(3)
    assert metrics.paired_gain("auc", labels, scores, scores, confidence=0.95).model_dump() == {"value": 0, "low": 0, "high": 0}


def test_one_class_has_no_auc():
    assert np.isnan(metrics.metric("auc", np.ones(5), np.linspace(0, 1, 5)))


def test_unknown_metric_names_the_known_ones():
    with pytest.raises(ConfigError, match="auc, average_precision, log_loss, brier"):
        metrics.metric("acc", np.ones(2), np.ones(2))


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(st.tuples(st.booleans(), st.integers(0, 10)), min_size=1, max_size=40),
    false_positive=st.floats(0.1, 10),
    false_negative=st.floats(0.1, 10),
)
def test_no_threshold_is_cheaper_than_the_cheapest(rows, false_positive, false_negative):
    labels, scores = np.array([float(r[0]) for r in rows]), np.array([r[1] / 10 for r in rows])

    def cost(threshold: float) -> float:
        table = metrics.confusion(labels, scores, threshold)
        return false_positive * table["false_positive"] + false_negative * table["false_negative"]

    chosen = metrics.cheapest_threshold(labels, scores, false_positive=false_positive, false_negative=false_negative)
    assert cost(chosen) <= min(cost(t) for t in [-1, *scores, 2]) + 1e-9


def test_calibration_error_of_true_probabilities_is_small_and_of_shifted_ones_is_the_shift():
    generator = np.random.default_rng(5)
    scores = generator.uniform(0.1, 0.6, 20_000)
    labels = (generator.random(20_000) < scores).astype(float)
    assert metrics.calibration_error(labels, scores) < 0.02
    assert metrics.calibration_error(labels, scores + 0.3) == pytest.approx(0.3, abs=0.02)
