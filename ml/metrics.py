"""Quality of scores against labels, with bootstrap intervals; paired where two models met the same rows.

Every metric is computed for many weightings of the rows at once: a bootstrap repetition is a row of weights that says
how often each row was drawn. Sorting happens once instead of once a repetition; a test holds each metric against
scikit-learn with the same weights.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from ml.errors import ConfigError
from ml.records import Interval

Floats = npt.NDArray[np.float64]
Metric = Callable[[Floats, Floats, Floats], Floats]
EPSILON = 1e-7  # scores are cut to [EPSILON, 1 - EPSILON] in the logarithm
REPETITIONS = 1000
CHUNK = 4_000_000  # weights held at once: 32 MB


def metric(name: str, labels: Floats, scores: Floats) -> float:
    """One metric of one model.

    Args:
        name: auc, average_precision, log_loss or brier.
        labels: shape (n,), 0 or 1.
        scores: shape (n,), probabilities of a 1.
    Returns: NaN where the metric is not defined (a class is missing).
    Raises: ConfigError: unknown metric.
    """
    return float(_find(name)(labels, scores, np.ones((1, len(labels))))[0])


def better(name: str) -> int:
    """+1 where more is better, -1 where less is.

    Raises: ConfigError: unknown metric.
    """
    _find(name)
    return -1 if name in ("log_loss", "brier") else 1


def bootstrap(
    name: str, labels: Floats, scores: Floats, *, confidence: float, seed: int = 0, repetitions: int = REPETITIONS
) -> Interval:
    """A metric with its percentile bootstrap interval over rows (Efron and Tibshirani 1993, chapter 13)."""
    values = _resampled(name, labels, scores, seed, repetitions)
    return _interval(metric(name, labels, scores), values, confidence)


def paired_gain(name: str, labels: Floats, ours: Floats, theirs: Floats, *, confidence: float, seed: int = 0) -> Interval:
    """How much better `ours` is than `theirs` on the same rows; positive is better for every metric.

    Both are scored under the same draws, so what they share cancels: the interval is far narrower than the
    difference of two separate ones.
    """
    sign = better(name)
    drawn = _resampled(name, labels, ours, seed, REPETITIONS) - _resampled(name, labels, theirs, seed, REPETITIONS)
    value = metric(name, labels, ours) - metric(name, labels, theirs)
    return _interval(sign * value, sign * drawn, confidence)


def calibration_error(labels: Floats, scores: Floats, bins: int = 10) -> float:
    """Expected calibration error over bins of equal count (Naeini, Cooper and Hauskrecht 2015), in probability."""
    order = np.argsort(scores, kind="stable")
    parts = [part for part in np.array_split(order, bins) if len(part)]
    return float(sum(len(part) * abs(labels[part].mean() - scores[part].mean()) for part in parts) / len(labels))


def cheapest_threshold(labels: Floats, scores: Floats, *, false_positive: float, false_negative: float) -> float:
    """The score from which saying yes costs least on these rows; ties go to the higher threshold.

    Args:
        labels: shape (n,), 0 or 1.
        scores: shape (n,).
    """
    order = np.argsort(-scores, kind="stable")
    falses = np.concatenate([[0.0], np.cumsum(1 - labels[order])])
    misses = labels.sum() - np.concatenate([[0.0], np.cumsum(labels[order])])
    cost = false_positive * falses + false_negative * misses
    candidates = np.concatenate([[np.nextafter(scores.max(), np.inf)], scores[order]])
    possible = np.concatenate([[True], np.append(scores[order][1:] != scores[order][:-1], True)])  # cut between values only
    return float(candidates[possible][np.argmin(cost[possible])])


def confusion(labels: Floats, scores: Floats, threshold: float) -> dict[str, int]:
    """Rows by label and decision at a threshold."""
    yes, real = scores >= threshold, labels == 1
    return {
        "true_positive": int((yes & real).sum()),
        "false_positive": int((yes & ~real).sum()),
        "false_negative": int((~yes & real).sum()),
        "true_negative": int((~yes & ~real).sum()),
    }


def _auc(labels: Floats, scores: Floats, weights: Floats) -> Floats:
    """Area under the ROC curve: share of (positive, negative) pairs in the right order, ties counted half."""
    positive, negative = _by_score(labels, scores, weights, ascending=True)
    below = np.cumsum(negative, axis=1) - negative / 2
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((positive * below).sum(axis=1) / (positive.sum(axis=1) * negative.sum(axis=1)))


def _average_precision(labels: Floats, scores: Floats, weights: Floats) -> Floats:
    """Sum over thresholds of precision times the step in recall."""
    positive, negative = _by_score(labels, scores, weights, ascending=False)
    found, asked = np.cumsum(positive, axis=1), np.cumsum(positive + negative, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        precision = np.where(asked > 0, found / asked, 0.0)
        return np.asarray((precision * positive).sum(axis=1) / positive.sum(axis=1))


def _log_loss(labels: Floats, scores: Floats, weights: Floats) -> Floats:
    cut = np.clip(scores, EPSILON, 1 - EPSILON)
    losses = -(labels * np.log(cut) + (1 - labels) * np.log(1 - cut))
    return np.asarray(weights @ losses / weights.sum(axis=1))


def _brier(labels: Floats, scores: Floats, weights: Floats) -> Floats:
    return np.asarray(weights @ (scores - labels) ** 2 / weights.sum(axis=1))


METRICS: dict[str, Metric] = {"auc": _auc, "average_precision": _average_precision, "log_loss": _log_loss, "brier": _brier}


def _find(name: str) -> Metric:
    if name not in METRICS:
        raise ConfigError(f"Unknown metric {name!r}. Known: {', '.join(METRICS)}.")
    return METRICS[name]


def _by_score(labels: Floats, scores: Floats, weights: Floats, *, ascending: bool) -> tuple[Floats, Floats]:
    """Weights of positives and negatives per distinct score, in order; shapes (repetitions, distinct scores)."""
    order = np.argsort(scores if ascending else -scores, kind="stable")
    starts = np.flatnonzero(np.concatenate([[True], np.diff(scores[order]) != 0]))
    drawn, real = weights[:, order], labels[order]
    return np.add.reduceat(drawn * real, starts, axis=1), np.add.reduceat(drawn * (1 - real), starts, axis=1)


def _resampled(name: str, labels: Floats, scores: Floats, seed: int, repetitions: int) -> Floats:
    """The metric under `repetitions` draws of all rows with replacement; the same seed draws the same rows."""
    generator, compute, size = np.random.default_rng(seed), _find(name), len(labels)
    values: list[Floats] = []
    step = max(1, CHUNK // max(size, 1))
    for start in range(0, repetitions, step):
        draws = generator.integers(0, size, (min(step, repetitions - start), size))
        weights = np.stack([np.bincount(draw, minlength=size) for draw in draws]).astype(np.float64)
        values.append(compute(labels, scores, weights))
    return np.concatenate(values)


def _interval(value: float, drawn: Floats, confidence: float) -> Interval:
    defined = drawn[~np.isnan(drawn)]
    if len(defined) == 0:
        return Interval(value=value, low=float("nan"), high=float("nan"))
    tail = (1 - confidence) / 2
    low, high = np.quantile(defined, [tail, 1 - tail])
    return Interval(value=value, low=float(low), high=float(high))
