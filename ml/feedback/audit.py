"""Quality estimated from the rows that people labelled, without the bias of having asked about the hard ones."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.stats

from ml.feedback.task import Batch, Task
from ml.problem import Problem

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """Mean loss over all rows that could have been asked about, with its interval; `plain` is the mean over labelled ones."""

    value: float
    low: float
    high: float
    plain: float
    num_labelled: int
    num_rows: int


def estimate(batches: Iterable[Batch], labels: Mapping[str, Any], problem: Problem, *, confidence: float) -> Estimate | None:
    """Share of wrong answers, or the mean absolute error of numbers; None while fewer than two audited rows are labelled.

    Each labelled row stands for as many as 1 over its probability of being labelled (Horvitz and Thompson 1952): chosen rows
    for themselves, audited ones for all that were not chosen. Rows of a kind that nobody has labelled yet count as its others.

    Args:
        labels: as people gave them, by key.
    """
    total = variance = rows = 0.0
    plain: list[float] = []
    audited = 0
    for batch in batches:
        sure = [task for task in batch.tasks if task.probability == 1]
        chance = [task for task in batch.tasks if task.probability < 1]
        for tasks, size in ((sure, len(sure)), (chance, batch.num_candidates - len(sure))):
            losses = np.asarray([loss(task, labels[task.key], problem) for task in tasks if task.key in labels])
            if len(losses) == 0:
                continue
            plain += losses.tolist()
            rows += size
            total += size * losses.mean()
            variance += _variance(losses, size)
            audited += len(losses) if tasks is chance or not chance else 0  # without chance all rows are asked about
    if audited < 2:
        return None
    half = float(scipy.stats.t.ppf((1 + confidence) / 2, audited - 1)) * variance**0.5 / rows
    value = total / rows
    return Estimate(value, max(0.0, value - half), value + half, float(np.mean(plain)), len(plain), int(rows))


def loss(task: Task, label: Any, problem: Problem) -> float:
    """1 for a wrong answer; of several labels the share of wrong ones; of numbers how far they are off, on average."""
    answer, several = task.answer, problem.task.several
    if problem.task.label == "number":
        said = answer["scores"] if "scores" in answer else {problem.outputs[0]: answer["score"]}
        told = label if several else {problem.outputs[0]: label}
        return float(np.mean([abs(said[name] - told[name]) for name in problem.outputs]))
    if problem.problem.task == "multilabel":
        return float(np.mean([(name in answer["decision"]) != label[name] for name in problem.outputs]))
    return float(answer["decision"] != label)


def _variance(losses: Floats, size: int) -> float:
    """Of the total of a simple random sample without replacement, `size` rows in all."""
    drawn = len(losses)
    return size**2 * (1 - drawn / size) * float(losses.var(ddof=1)) / drawn if drawn > 1 else 0.0
