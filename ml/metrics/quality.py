"""Quality of scores against labels, one number per weighting of the rows; a test holds each metric against scikit-learn.

Labels and scores have shape (n,), or (n, k) where a model answers several things. A metric over several outputs is the mean
over them. Sorting happens once for all weightings instead of once for each.
"""

from collections.abc import Callable

import numpy as np

from ml.errors import ConfigError
from ml.metrics.draws import Floats, Weights

Metric = Callable[[Floats, Floats, Weights], Floats]
EPSILON = 1e-7  # scores are cut to [EPSILON, 1 - EPSILON] in the logarithm
MOST_BLOCKS = 64  # up to here pairs of blocks are counted once, instead of rows in every repetition
LOSSES = ("log_loss", "brier", "mae", "rmse")


def metric(name: str, labels: Floats, scores: Floats) -> float:
    """One metric of one model.

    Args:
        name: auc, average_precision, log_loss, brier, accuracy, mae, rmse or r2.
        labels: shape (n,) or (n, k): 0 or 1 (classes one-hot), or numbers.
        scores: the same shape: probabilities, or numbers in the label's unit.
    Returns: NaN where the metric is not defined (a class is missing).
    Raises: ConfigError: unknown metric.
    """
    return float(find(name)(labels, scores, Weights.of_rows(np.ones((1, len(labels)))))[0])


def better(name: str) -> int:
    """+1 where more is better, -1 where less is.

    Raises: ConfigError: unknown metric.
    """
    find(name)
    return -1 if name in LOSSES else 1


def bounds(name: str) -> tuple[float, float]:
    """Least and largest value that the metric can have."""
    return (-np.inf if name == "r2" else 0.0), (np.inf if name in ("log_loss", "mae", "rmse") else 1.0)


def find(name: str) -> Metric:
    """A metric by name: (labels, scores, weights) to shape (r,).

    Raises: ConfigError: unknown metric.
    """
    if name not in METRICS:
        raise ConfigError(f"Unknown metric {name!r}. Known: {', '.join(METRICS)}.")
    return METRICS[name]


def _mean_over_outputs(one: Metric, *, varied: bool = False) -> Metric:
    """The mean over outputs; where the metric needs labels that vary, over those whose labels do."""

    def over(labels: Floats, scores: Floats, weights: Weights) -> Floats:
        if labels.ndim == 1:
            return one(labels, scores, weights)
        outputs = list(zip(labels.T, scores.T, strict=True))
        kept = [(label, score) for label, score in outputs if not varied or np.ptp(label) > 0] or outputs
        return np.asarray(np.mean([one(label, score, weights) for label, score in kept], axis=0))

    return over


def _auc(labels: Floats, scores: Floats, weights: Weights) -> Floats:
    """Area under the ROC curve: share of (positive, negative) pairs in the right order, ties counted half."""
    if weights.counts.shape[1] <= MOST_BLOCKS:
        return _auc_of_blocks(labels, scores, weights)
    positive, negative = _by_score(labels, scores, weights, ascending=True)
    below = np.cumsum(negative, axis=1) - negative / 2
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((positive * below).sum(axis=1) / (positive.sum(axis=1) * negative.sum(axis=1)))


def _auc_of_blocks(labels: Floats, scores: Floats, weights: Weights) -> Floats:
    """The same, as a quadratic form: right pairs of a positive of one block and a negative of another are counted once."""
    positive, negative = _by_block(labels, scores, weights)
    right = positive.T @ (np.cumsum(negative, axis=0) - negative / 2)  # (positive's block, negative's block)
    pairs = (weights.counts @ positive.sum(axis=0)) * (weights.counts @ negative.sum(axis=0))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(((weights.counts @ right) * weights.counts).sum(axis=1) / pairs)


def _average_precision(labels: Floats, scores: Floats, weights: Weights) -> Floats:
    """Sum over thresholds of precision times the step in recall."""
    if weights.counts.shape[1] <= MOST_BLOCKS:
        by_block = [part[::-1] for part in _by_block(labels, scores, weights)]
        real = by_block[0].any(axis=1)  # recall steps at these scores only
        found, negative = (weights.counts @ np.cumsum(part, axis=0)[real].T for part in by_block)
        positive, asked = weights.counts @ by_block[0][real].T, found + negative
    else:
        positive, negative = _by_score(labels, scores, weights, ascending=False)
        found, asked = np.cumsum(positive, axis=1), np.cumsum(positive + negative, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        precision = np.where(asked > 0, found / asked, 0.0)
        return np.asarray((precision * positive).sum(axis=1) / positive.sum(axis=1))


def _log_loss(labels: Floats, scores: Floats, weights: Weights) -> Floats:
    """Of classes, whose labels and scores each add up to one per row: -log of the true class's score; else per output."""
    cut = np.clip(scores, EPSILON, 1 - EPSILON)
    if labels.ndim == 2 and (labels.sum(axis=1) == 1).all() and np.allclose(scores.sum(axis=1), 1, atol=1e-3):
        return weights.means(-(labels * np.log(cut)).sum(axis=1))
    losses = -(labels * np.log(cut) + (1 - labels) * np.log(1 - cut))
    return weights.means(losses if labels.ndim == 1 else losses.mean(axis=1))


def _brier(labels: Floats, scores: Floats, weights: Weights) -> Floats:
    return weights.means((scores - labels) ** 2)


def _accuracy(labels: Floats, scores: Floats, weights: Weights) -> Floats:
    """Share of rows whose true class has the largest score; of one output, whose side of one half is right."""
    if labels.ndim == 1:
        return weights.means(((scores >= 0.5) == (labels == 1)).astype(np.float64))
    return weights.means((labels.argmax(axis=1) == scores.argmax(axis=1)).astype(np.float64))


def _mae(labels: Floats, scores: Floats, weights: Weights) -> Floats:
    return weights.means(np.abs(scores - labels))


def _rmse(labels: Floats, scores: Floats, weights: Weights) -> Floats:
    return np.sqrt(weights.means((scores - labels) ** 2))


def _r2(labels: Floats, scores: Floats, weights: Weights) -> Floats:
    """Share of the labels' variance that is explained; NaN where they do not vary."""
    centred = labels - labels.mean() if len(labels) else labels
    variance = weights.means(centred**2) - weights.means(centred) ** 2
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(variance > 0, 1 - weights.means((scores - labels) ** 2) / variance, np.nan)


METRICS: dict[str, Metric] = {
    "auc": _mean_over_outputs(_auc, varied=True),
    "average_precision": _mean_over_outputs(_average_precision, varied=True),
    "log_loss": _log_loss,
    "brier": _mean_over_outputs(_brier),
    "accuracy": _accuracy,
    "mae": _mean_over_outputs(_mae),
    "rmse": _mean_over_outputs(_rmse),
    "r2": _mean_over_outputs(_r2, varied=True),
}


def _by_score(labels: Floats, scores: Floats, weights: Weights, *, ascending: bool) -> tuple[Floats, Floats]:
    """Weights of positives and negatives per distinct score, in order; shapes (repetitions, distinct scores)."""
    order = np.argsort(scores if ascending else -scores, kind="stable")
    starts = np.flatnonzero(np.concatenate([[True], np.diff(scores[order]) != 0]))
    drawn, real = weights.rows[:, order], labels[order]
    return np.add.reduceat(drawn * real, starts, axis=1), np.add.reduceat(drawn * (1 - real), starts, axis=1)


def _by_block(labels: Floats, scores: Floats, weights: Weights) -> tuple[Floats, Floats]:
    """Positives and negatives per distinct score, ascending, and block; shapes (distinct scores, blocks)."""
    distinct, place = np.unique(scores, return_inverse=True)
    width = weights.counts.shape[1]
    cells, shape = place * width + weights.blocks, (len(distinct), width)
    positive, negative = (np.bincount(cells, real, minlength=shape[0] * width).reshape(shape) for real in (labels, 1 - labels))
    return positive.astype(np.float64), negative.astype(np.float64)
