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
OF_OUTPUTS = {name: REFERENCES[name] for name in ("auc", "average_precision")}
OF_NUMBERS = {
    "mae": reference.mean_absolute_error,
    "rmse": reference.root_mean_squared_error,
    "r2": reference.r2_score,
}


def sample(seed: int, size: int = 400, noise: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    labels = (generator.random(size) < 0.3).astype(float)
    scores = 1 / (1 + np.exp(-(labels + noise * generator.normal(size=size))))
    return labels, np.round(scores, 2)  # rounding makes ties


def weighted(name: str, labels: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> float:
    """A metric under weights of single rows, and with them as draws of as many blocks as there are rows."""
    return float(metrics.METRICS[name](labels, scores, metrics.Weights.of_rows(weights[None, :]))[0])


@pytest.mark.parametrize("name", REFERENCES)
@pytest.mark.parametrize("seed", range(5))
def test_metric_equals_scikit_learn_also_with_weights(name, seed):
    labels, scores = sample(seed)
    assert metrics.metric(name, labels, scores) == pytest.approx(REFERENCES[name](labels, scores), abs=1e-9)
    weights = np.random.default_rng(seed).integers(0, 4, len(labels)).astype(float)
    expected = REFERENCES[name](labels, scores, sample_weight=weights)
    assert weighted(name, labels, scores, weights) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("name", REFERENCES)
def test_metric_equals_scikit_learn_when_whole_blocks_are_drawn(name):
    labels, scores = sample(3)
    blocks, counts = np.arange(len(labels)) // 50, np.array([2.0, 0, 1, 1, 0, 3, 1, 0])
    found = metrics.METRICS[name](labels, scores, metrics.Weights(counts[None, :], blocks))[0]
    assert found == pytest.approx(REFERENCES[name](labels, scores, sample_weight=counts[blocks]), abs=1e-9)


def outputs(seed: int, *, one_hot: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels and probabilities of three outputs, and weights of the rows."""
    generator = np.random.default_rng(seed)
    scores = generator.random((300, 3))
    classes = np.eye(3)[generator.integers(0, 3, 300)]
    labels = classes if one_hot else (generator.random((300, 3)) < 0.4).astype(float)
    raised = scores + 0.4 * labels
    final = raised / raised.sum(axis=1, keepdims=True) if one_hot else raised / 1.4
    return labels, final, generator.integers(0, 4, 300).astype(float)


@pytest.mark.parametrize("name", OF_OUTPUTS)
@pytest.mark.parametrize("one_hot", [True, False], ids=["multiclass", "multilabel"])
def test_ranking_of_several_outputs_is_the_mean_over_them_as_in_scikit_learn(name, one_hot):
    labels, scores, weights = outputs(1, one_hot=one_hot)
    expected = OF_OUTPUTS[name](labels, scores, average="macro", sample_weight=weights)
    assert weighted(name, labels, scores, weights) == pytest.approx(expected, abs=1e-9)


def test_log_loss_and_accuracy_of_classes_equal_scikit_learn():
    labels, scores, weights = outputs(2, one_hot=True)
    truth, said = labels.argmax(axis=1), scores.argmax(axis=1)
    assert weighted("log_loss", labels, scores, weights) == pytest.approx(
        reference.log_loss(truth, scores, sample_weight=weights), abs=1e-9
    )
    assert weighted("accuracy", labels, scores, weights) == pytest.approx(
        reference.accuracy_score(truth, said, sample_weight=weights), abs=1e-12
    )


def test_losses_of_labels_are_the_mean_over_outputs():
    labels, scores, weights = outputs(3, one_hot=False)
    for name in ("log_loss", "brier"):
        each = [REFERENCES[name](labels[:, place], scores[:, place], sample_weight=weights) for place in range(3)]
        assert weighted(name, labels, scores, weights) == pytest.approx(np.mean(each), abs=1e-9)


@pytest.mark.parametrize("name", OF_NUMBERS)
@pytest.mark.parametrize("width", [None, 2], ids=["regression", "vector regression"])
def test_metric_of_numbers_equals_scikit_learn(name, width):
    generator = np.random.default_rng(4)
    labels = generator.normal(100, 20, 500 if width is None else (500, width))
    scores, weights = labels + generator.normal(0, 9, labels.shape), generator.integers(0, 4, 500).astype(float)
    expected = OF_NUMBERS[name](labels, scores, sample_weight=weights)
    assert weighted(name, labels, scores, weights) == pytest.approx(expected, rel=1e-9)


def stormy(seed: int, days: int = 7, rows: int = 200) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, scores and days, where a day's storm moves labels and what the scores are worth together."""
    generator = np.random.default_rng(seed)
    day = np.repeat(np.arange(days), rows)
    storm = generator.normal(0, 1.0, days)[day]
    labels = (generator.random(len(day)) < 1 / (1 + np.exp(1 - storm))).astype(float)
    return labels, 1 / (1 + np.exp(-labels - generator.normal(size=len(day)) - 0.5 * storm)), day.astype(str)


def test_intervals_over_days_hold_the_truth_where_intervals_over_rows_do_not():
    labels, scores, _ = stormy(0, days=4000, rows=50)
    truth = metrics.metric("brier", labels, scores)
    inside = {"days": 0, "rows": 0}
    for seed in range(200):
        labels, scores, day = stormy(seed + 1)
        for by, days in (("days", day), ("rows", None)):
            found = metrics.bootstrap(
                "brier", labels, scores, confidence=0.9, draws=metrics.Draws.over(days, len(labels), seed=seed, repetitions=200)
            )
            inside[by] += found.low <= truth <= found.high
    assert 165 <= inside["days"] <= 195  # 180 are expected; binomial, with room for seven days being few
    assert inside["rows"] < 140


def test_few_days_are_drawn_by_rows_and_it_says_so():
    days = np.array(["1", "2", "3", "4"] * 10)
    assert metrics.Draws.over(days, 40).by == "rows"
    draws = metrics.Draws.over(np.array(["1", "2", "3", "4", "5"] * 10), 50)
    assert (draws.by, draws.num_blocks) == ("days", 5)


def test_doubt_agrees_with_the_interval():
    labels, scores, day = stormy(5)
    found = metrics.bootstrap("auc", labels, scores, confidence=0.95, draws=metrics.Draws.over(day, len(labels)))
    assert metrics.doubt(found, found.low) == pytest.approx(0.025)
    assert metrics.doubt(found, found.high) == pytest.approx(0.975)
    assert metrics.lower(found, 0.025) == pytest.approx(found.low)
    assert metrics.doubt(found.model_copy(update={"error": float("nan")}), -100) == 1.0


def test_interval_holds_the_truth_about_as_often_as_it_says():
    labels, scores = sample(0, 50_000)
    truth = metrics.metric("auc", labels, scores)
    inside = 0
    for seed in range(100):
        some = np.random.default_rng(seed).integers(0, len(labels), 400)
        draws = metrics.Draws.over(None, 400, seed=seed, repetitions=300)
        interval = metrics.bootstrap("auc", labels[some], scores[some], confidence=0.9, draws=draws)
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
    gain = metrics.paired_gain("auc", labels, scores, scores, confidence=0.95)
    assert (gain.value, gain.low, gain.high, gain.error) == (0, 0, 0, 0)
    assert metrics.doubt(gain, 0) == 1.0


def test_one_class_has_no_auc():
    assert np.isnan(metrics.metric("auc", np.ones(5), np.linspace(0, 1, 5)))


def test_unknown_metric_names_the_known_ones():
    with pytest.raises(ConfigError, match="auc, average_precision, log_loss, brier, accuracy, mae, rmse, r2"):
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


def test_calibration_slope_tells_over_confidence_from_a_wrong_level():
    generator = np.random.default_rng(6)
    logits, day = generator.normal(-1, 1, 20_000), np.arange(20_000) % 10
    labels = (generator.random(20_000) < 1 / (1 + np.exp(-logits))).astype(float)

    def slope(said: np.ndarray) -> float:
        found = metrics.calibration_slope(labels, 1 / (1 + np.exp(-said)), day, probabilities=True, confidence=0.95)
        assert found.low < found.value < found.high
        return found.value

    assert slope(logits) == pytest.approx(1, abs=0.05)
    assert slope(logits + 1) == pytest.approx(1, abs=0.05)  # a wrong level alone
    assert slope(3 * logits) == pytest.approx(1 / 3, abs=0.03)
    several = metrics.calibration_slope(
        np.stack([labels, labels], axis=1), np.stack([logits, 3 * logits + 2], axis=1), day, probabilities=False, confidence=0.95
    )
    assert 0 < several.value < 0.2
    assert np.isnan(metrics.calibration_slope(labels, np.full(20_000, 0.3), day, probabilities=True, confidence=0.95).value)


def test_calibration_slope_equals_scikit_learn():
    from sklearn.linear_model import LinearRegression, LogisticRegression

    labels, scores = sample(7, 2000)
    cut = np.clip(scores, 0.01, 0.99)
    logits = np.log(cut / (1 - cut))[:, None]
    expected = LogisticRegression(C=np.inf, tol=1e-8).fit(logits, labels).coef_[0, 0]
    found = metrics.calibration_slope(labels, cut, np.arange(2000), probabilities=True, confidence=0.95)
    assert found.value == pytest.approx(expected, rel=1e-4)
    numbers = metrics.calibration_slope(labels, scores, np.arange(2000), probabilities=False, confidence=0.95)
    assert numbers.value == pytest.approx(LinearRegression().fit(scores[:, None], labels).coef_[0], rel=1e-6)


def test_cost_curve_is_least_at_the_cheapest_threshold():
    labels, scores = sample(8)
    cheapest = metrics.cheapest_threshold(labels, scores, false_positive=1, false_negative=3)
    thresholds, costs = metrics.cost_curve(labels, scores, false_positive=1, false_negative=3)
    assert thresholds[costs.argmin()] == pytest.approx(cheapest)
    assert costs.max() <= 3 * labels.mean() + (1 - labels.mean())


def test_decisions_by_task():
    scores = np.array([[0.2, 0.8], [0.7, 0.3]])
    assert metrics.decide("multiclass", scores, ()).tolist() == [1, 0]
    assert metrics.decide("multilabel", scores, (0.1, 0.5)).tolist() == [[True, True], [True, False]]
    assert metrics.decide("binary", scores[:, 0], (0.5,)).tolist() == [False, True]
    assert metrics.decide("regression", scores[:, 0], ()).tolist() == [0.2, 0.7]
