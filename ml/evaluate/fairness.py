"""How alike the groups of a protected column are served."""

import numpy as np

from ml import metrics
from ml.evaluate.models import CANDIDATE, Judged, Masks
from ml.metrics import Draws, Floats, Weights
from ml.records import Gap

REPETITIONS = 300
CONFIDENCE = 0.95  # of the shown interval; the gate judges at its own
FOUND, RIGHT, ERROR = "share of positives that are found", "share of right answers", "mean error in standard deviations"


def gaps_of(judged: Judged, groups: Masks) -> tuple[Gap, ...]:
    """Per protected column the largest gap between its groups.

    Where the model says yes or no: in the share of true positives that it finds (equal opportunity; Hardt, Price and Srebro
    2016), of several outputs pooled. Of classes: in the share of right answers. Of numbers: in the mean error.

    Args:
        groups: masks of groups with enough rows, by `column=value`.
    """
    measure, part, whole = _measure(judged)
    draws = Draws.over(None, len(part), repetitions=REPETITIONS)  # rows, as in slices
    columns: dict[str, list[str]] = {}
    for name, mask in groups.items():
        if (whole * mask).sum() > 0:  # a group without any positive has no share of them
            columns.setdefault(name.split("=")[0], []).append(name)
    return tuple(
        _gap(column, measure, names, _rates(part, whole, [groups[name] for name in names], draws), draws.num_blocks)
        for column, names in columns.items()
        if len(names) > 1
    )


def _measure(judged: Judged) -> tuple[str, Floats, Floats]:
    """Name of the measure, and per row what is counted and out of what: a group's rate is the ratio of the sums."""
    labels, said, task = judged.labels, judged.said, judged.problem.task
    rows = len(labels)
    if task.label == "number":
        errors = np.abs(judged.scores[CANDIDATE] - labels) / judged.unit
        return ERROR, errors.reshape(rows, -1).mean(axis=1), np.ones(rows)
    if task.label == "category":
        return RIGHT, (said == labels.argmax(axis=1)).astype(np.float64), np.ones(rows)
    real = labels.reshape(rows, -1)
    return FOUND, (real * said.reshape(rows, -1)).sum(axis=1), real.sum(axis=1)


def _rates(part: Floats, whole: Floats, masks: list[np.ndarray], draws: Draws) -> tuple[Floats, Floats]:
    """A group's rate: on all rows, shape (groups,), and in every repetition, shape (repetitions, groups)."""

    def rates(weights: Weights) -> Floats:
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.stack([weights.sums(part * mask) / weights.sums(whole * mask) for mask in masks], axis=1)

    return rates(Weights.of_rows(np.ones((1, len(part)))))[0], np.concatenate([rates(weights) for weights in draws.weights()])


def _gap(column: str, measure: str, names: list[str], rates: tuple[Floats, Floats], num_blocks: int) -> Gap:
    """The gap between the two groups that lie farthest apart on all rows; the same two in every repetition."""
    here, drawn = rates
    high, low = int(np.nanargmax(here)), int(np.nanargmin(here))
    return Gap(
        column=column,
        measure=measure,
        gap=metrics.interval(float(here[high] - here[low]), drawn[:, high] - drawn[:, low], num_blocks, confidence=CONFIDENCE),
        best=names[low] if measure == ERROR else names[high],
        worst=names[high] if measure == ERROR else names[low],
    )
