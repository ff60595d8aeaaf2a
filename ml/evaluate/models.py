"""The models that are judged, side by side on the same rows: what they answer, decide, and decide differently."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ml import metrics, targets
from ml.metrics import Floats
from ml.problem import Problem

CANDIDATE, CHAMPION = "candidate", "champion"
Masks = dict[str, npt.NDArray[np.bool_]]


@dataclass(frozen=True)
class Champion:
    """The serving model on the test rows, or why it could not be scored there."""

    version: int
    scores: Floats | None
    problem: str = ""
    thresholds: tuple[float, ...] = (0.5,)


@dataclass(frozen=True)
class Judged:
    """Models on the same rows: `scores` of candidate and baselines by name, in the order of the rows, (n,) or (n, k)."""

    rows: pa.Table  # with `_label`, `_day` and the slice columns
    problem: Problem
    scores: Mapping[str, Floats]
    champion: Champion | None
    thresholds: tuple[float, ...]  # of the candidate: say yes from these scores on

    @property
    def labels(self) -> Floats:
        """The labels as numbers, shape (n,) or (n, k)."""
        return targets.targets(self.rows["_label"], self.problem)

    @property
    def unit(self) -> Floats:
        """What errors of numbers are told in: the labels' standard deviation, 1 where they do not vary; one per output."""
        spread = self.labels.std(axis=0)
        return np.where(spread > 0, spread, 1.0)

    @property
    def models(self) -> dict[str, Floats]:
        """Scores of every model that could be scored, the champion among them."""
        theirs = self.champion.scores if self.champion else None
        return dict(self.scores) | ({CHAMPION: theirs} if theirs is not None else {})

    @property
    def said(self) -> npt.NDArray[Any]:
        """What the candidate decides."""
        return metrics.decide(self.problem.problem.task, self.scores[CANDIDATE], self.thresholds)

    @property
    def flipped(self) -> npt.NDArray[np.bool_]:
        """Rows that candidate and champion decide otherwise, shape (n,); numbers when they differ by more than is usual."""
        if self.champion is None or self.champion.scores is None:
            return np.zeros(self.rows.num_rows, dtype=bool)
        theirs = metrics.decide(self.problem.problem.task, self.champion.scores, self.champion.thresholds)
        if self.problem.task.label == "number":
            moved, usual = np.abs(self.said - theirs), np.abs(self.scores[CANDIDATE] - self.labels).mean(axis=0)
            return np.asarray((moved > usual).reshape(len(moved), -1).any(axis=1))
        return np.asarray((self.said != theirs).reshape(len(theirs), -1).any(axis=1))
