"""Rows, labels and scores of any task, small enough to know what must come out."""

from typing import Any

import numpy as np
import pyarrow as pa

from ml.evaluate.models import CANDIDATE, Champion, Judged
from ml.problem import Problem

ROWS, DAYS = 700, 7
LABELS = {"multiclass": "class", "multilabel": ("late", "lost"), "vector_regression": ("left", "came")}
TASKS = ("binary", "multiclass", "multilabel", "regression", "vector_regression")


def problem_of(task: str, *, success: dict[str, Any] | None = None, **sections: Any) -> Problem:
    """A problem of that task with three features."""
    about = {"name": "trip", "title": "A trip", "task": task, "owner": "tests", "rows": "trips", "positive": "late"}
    source = {"table": "trips", "key": "id", "event_time": "at", "label": LABELS.get(task, "late"), "label_time": "known"}
    return Problem.model_validate(
        {
            "problem": about | ({"classes": ["early", "late", "never"]} if task == "multiclass" else {}),
            "source": source,
            "features": {"hour": {"type": "number"}, "place": {"type": "category"}, "note": {"type": "text"}},
            "success": {"slices": ["place"], "must_beat": ["prior"], "beside": [], **(success or {})},
            "gate": {"slice_rows": 30},
            **sections,
        }
    )


def judged_of(task: str, *, champion: float | None = 1.0, seed: int = 0, problem: Problem | None = None) -> Judged:
    """A candidate that knows something, a champion whose errors are `champion` times as large, and the rate."""
    generator, problem = np.random.default_rng(seed), problem or problem_of(task)
    width = len(problem.outputs)
    truth, hour = generator.normal(size=(ROWS, width)), generator.uniform(0, 24, ROWS)

    def answers(noise: float) -> np.ndarray:
        said = truth + noise * generator.normal(size=(ROWS, width))
        if task == "multiclass":
            raised = np.exp(said)
            return raised / raised.sum(axis=1, keepdims=True)
        if task in ("binary", "multilabel"):
            said = 1 / (1 + np.exp(-said))
        return said[:, 0] if width == 1 else said

    scores = {CANDIDATE: answers(0.5)}
    labels = _labels(task, truth, problem, generator)
    theirs = None if champion is None else Champion(3, answers(0.5 * champion), thresholds=(0.5,) * width)
    rows = pa.table(
        {
            "_key": [f"k{number}" for number in range(ROWS)],
            "_day": [f"2026-03-{1 + number * DAYS // ROWS:02d}" for number in range(ROWS)],
            "_label": labels,
            "hour": hour,
            "place": pa.array(np.array(["north", "south"])[generator.integers(0, 2, ROWS)]),
            "note": ["a note that says little"] * ROWS,
        }
    )
    rate = np.full_like(scores[CANDIDATE], 0.4)
    if task == "multiclass":
        rate[:] = 1 / width
    return Judged(rows, problem, scores | {"prior": rate}, theirs, (0.5,) * width if problem.task.decides else ())


def _labels(task: str, truth: np.ndarray, problem: Problem, generator: np.random.Generator) -> pa.Array:
    if task == "multiclass":
        return pa.array(np.array(problem.outputs)[truth.argmax(axis=1)])
    values = truth > 0 if task in ("binary", "multilabel") else 2 * truth
    if not problem.task.several:
        return pa.array(values[:, 0])
    return pa.StructArray.from_arrays([pa.array(column) for column in values.T], names=list(problem.outputs))
