"""Rows for people to look at: those where the candidate is most wrong, and those that it decides otherwise than the champion."""

from typing import Any

import numpy as np

from ml.evaluate.models import CANDIDATE, Judged
from ml.metrics import Floats
from ml.problem import Problem
from ml.records import Example
from ml.tables import DAY

MOST = 10  # of each kind
LONGEST = 80  # characters of a value
HIDDEN = "(hidden)"
EPSILON = 1e-7


def examples_of(judged: Judged) -> tuple[Example, ...]:
    """The worst errors first, then the flips with the widest step between the two models.

    A column that the problem redacts is hidden here altogether, the key too; other values are cut at LONGEST characters.
    """
    wrong = np.argsort(-_losses(judged), kind="stable")[:MOST]
    flipped = np.flatnonzero(judged.flipped)
    if judged.champion is not None and judged.champion.scores is not None:
        step = np.abs(judged.scores[CANDIDATE] - judged.champion.scores).reshape(judged.rows.num_rows, -1).max(axis=1)
        flipped = flipped[np.argsort(-step[flipped], kind="stable")]
    chosen = [("error", place) for place in wrong] + [("flip", place) for place in flipped[:MOST]]
    return tuple(_example(judged, kind, int(place)) for kind, place in chosen)


def _losses(judged: Judged) -> Floats:
    """How wrong the candidate is per row, shape (n,)."""
    scores, labels = judged.scores[CANDIDATE], judged.labels
    if judged.problem.task.label == "number":
        return np.asarray((np.abs(scores - labels) / judged.unit).reshape(len(labels), -1).max(axis=1))
    said = np.where(labels == 1, scores, 1 - scores)
    return np.asarray(-np.log(np.clip(said, EPSILON, 1)).reshape(len(labels), -1).max(axis=1))


def _example(judged: Judged, kind: Any, place: int) -> Example:
    problem, row = judged.problem, judged.rows.slice(place, 1).to_pylist()[0]
    theirs = judged.champion.scores if judged.champion else None
    return Example(
        kind=kind,
        key=HIDDEN if problem.source.key in problem.privacy.redact else str(row["_key"]),
        day=row[DAY],
        label=_told(judged.labels[place], problem),
        candidate=_told(judged.scores[CANDIDATE][place], problem),
        champion=_told(theirs[place], problem) if theirs is not None else "",
        row={name: HIDDEN if name in problem.privacy.redact else _value(row[name]) for name in problem.features},
    )


def _told(value: Any, problem: Problem) -> str:
    """A label or score of one row in a few characters: of classes the likeliest."""
    if problem.problem.task == "multiclass":
        return f"{problem.outputs[int(value.argmax())]} ({value.max():.2f})"
    several = dict(zip(problem.outputs, np.atleast_1d(value), strict=True))
    form = "{:.2f}" if problem.task.decides else "{:,.1f}"
    return ", ".join(f"{name} {form.format(one)}" if len(several) > 1 else form.format(one) for name, one in several.items())


def _value(value: Any) -> str:
    if value is None:
        return "missing"
    text = value.isoformat() if hasattr(value, "isoformat") else f"{value:g}" if isinstance(value, float) else str(value)
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
