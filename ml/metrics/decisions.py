"""What follows from scores: decisions, their counts and costs; and whether the scores may be taken at their word."""

from typing import Any

import numpy as np
import numpy.typing as npt

from ml.metrics.draws import Blocks, Floats
from ml.records import Interval

BINS = 10
CURVE = 101  # points of a cost curve
STEPS = 25  # of Newton's method, which needs a handful
LOGIT_CUT = 1e-6


def decide(task: str, scores: Floats, thresholds: tuple[float, ...]) -> npt.NDArray[Any]:
    """What a model says: yes or no (n,) or (n, k), the number of a class (n,), or the number itself.

    Args:
        thresholds: one per output of a binary or multilabel task, else none.
    """
    if task == "multiclass":
        return np.asarray(scores.argmax(axis=1))
    if task in ("binary", "multilabel"):
        return np.asarray(scores >= np.asarray(thresholds if scores.ndim == 2 else thresholds[0]))
    return scores


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


def cost_curve(labels: Floats, scores: Floats, *, false_positive: float, false_negative: float) -> tuple[Floats, Floats]:
    """Thresholds, ascending, and what deciding at each costs per row: at CURVE quantiles of the scores and at the cheapest."""
    cheapest = cheapest_threshold(labels, scores, false_positive=false_positive, false_negative=false_negative)
    thresholds = np.unique(np.append(np.quantile(scores, np.linspace(0, 1, CURVE)), cheapest))
    costs = [cost_of(labels, scores, one, false_positive=false_positive, false_negative=false_negative) for one in thresholds]
    return thresholds, np.array(costs)


def cost_of(labels: Floats, scores: Floats, threshold: float, *, false_positive: float, false_negative: float) -> float:
    """Cost per row of deciding at a threshold."""
    found = confusion(labels, scores, threshold)
    total = false_positive * found["false_positive"] + false_negative * found["false_negative"]
    return total / max(len(labels), 1)


def confusion(labels: Floats, scores: Floats, threshold: float) -> dict[str, int]:
    """Rows by label and decision at a threshold."""
    return counts(labels == 1, scores >= threshold)


def counts(real: npt.NDArray[np.bool_], yes: npt.NDArray[np.bool_]) -> dict[str, int]:
    """Rows by truth and decision, each of shape (n,)."""
    return {
        "true_positive": int((yes & real).sum()),
        "false_positive": int((yes & ~real).sum()),
        "false_negative": int((~yes & real).sum()),
        "true_negative": int((~yes & ~real).sum()),
    }


def calibration_error(labels: Floats, scores: Floats, bins: int = BINS) -> float:
    """Expected calibration error over bins of equal count (Naeini, Cooper and Hauskrecht 2015), in the scores' unit.

    Over several outputs the mean.
    """
    if labels.ndim == 2:
        return float(np.mean([calibration_error(label, score, bins) for label, score in zip(labels.T, scores.T, strict=True)]))
    parts = calibration_bins(labels, scores, bins)
    return float(sum(num_rows * abs(said - seen) for said, seen, num_rows in parts) / max(len(labels), 1))


def calibration_bins(labels: Floats, scores: Floats, bins: int = BINS) -> list[tuple[float, float, int]]:
    """Per bin of equal count, by ascending score: mean score, mean label, rows."""
    order = np.argsort(scores, kind="stable")
    parts = [part for part in np.array_split(order, bins) if len(part)]
    return [(float(scores[part].mean()), float(labels[part].mean()), len(part)) for part in parts]


def calibration_slope(labels: Floats, scores: Floats, blocks: Blocks, *, probabilities: bool, confidence: float) -> Interval:
    """How much of what the scores say about differences between rows is true: 1 is right, below 1 they are over-confident.

    For probabilities the slope of a logistic regression of the label on the score's logit (Cox 1958), for numbers that of a
    linear regression on the score (Mincer and Zarnowitz 1969). A wrong level, such as a stormy week's, moves the intercept and
    not the slope. The error is clustered by block (Liang and Zeger 1986), with t for few blocks. Several outputs are pooled,
    each with an intercept of its own.

    Args:
        labels, scores: shape (n,) or (n, k).
        blocks: the day of each row, shape (n,).
    Returns: NaN where scores or labels do not vary.
    """
    from scipy.special import logit

    cut = np.clip(scores, LOGIT_CUT, 1 - LOGIT_CUT) if probabilities else scores
    said = np.asarray(logit(cut) if probabilities else cut).reshape(len(labels), -1)
    width = said.shape[1]
    centred, flat = (said - said.mean(axis=0)).T.ravel(), labels.reshape(len(labels), -1).T.ravel()
    owners = np.repeat(np.eye(width), len(labels), axis=0)
    design, groups = np.column_stack([centred, owners]), np.tile(blocks, width)
    if centred.std() < LOGIT_CUT or flat.std() == 0:
        return Interval(value=float("nan"), low=float("nan"), high=float("nan"))
    return _slope(design, flat, groups, logistic=probabilities, confidence=confidence)


def _slope(design: Floats, labels: Floats, groups: Blocks, *, logistic: bool, confidence: float) -> Interval:
    """The first coefficient of a regression with its error clustered by group."""
    from scipy.special import expit, stdtrit

    weights = np.zeros(design.shape[1])
    for _ in range(STEPS):
        fitted = expit(design @ weights) if logistic else design @ weights
        spread = fitted * (1 - fitted) if logistic else np.ones(len(labels))
        curvature = design.T @ (design * spread[:, None]) + 1e-9 * np.eye(design.shape[1])
        step = np.linalg.solve(curvature, design.T @ (labels - fitted))
        weights = weights + np.clip(step, -5, 5)
        if np.abs(step).max() < 1e-8:
            break
    each = design * (labels - fitted)[:, None]
    _, places = np.unique(groups, return_inverse=True)
    number = int(places.max()) + 1
    total = np.stack([np.bincount(places, column, minlength=number) for column in each.T], axis=1)
    inverse = np.linalg.inv(curvature)
    freedom = max(number - 1, 1)
    variance = inverse @ (total.T @ total) @ inverse * number / freedom
    error, value = float(np.sqrt(variance[0, 0])), float(weights[0])
    half = float(stdtrit(freedom, (1 + confidence) / 2)) * error
    return Interval(value=value, low=value - half, high=value + half, error=error, freedom=freedom)
