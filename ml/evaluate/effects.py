"""What each feature is worth to a model: its quality when the feature's values are dealt out anew, and when it is missing."""

from collections.abc import Callable

import numpy as np
import pyarrow as pa

from ml import metrics, targets
from ml.metrics import Floats
from ml.problem import Problem
from ml.records import Effect

SAMPLE = 2_000  # rows; scoring them takes a few milliseconds per feature
SEED = 7


def effects_of(
    rows: pa.Table,
    score: Callable[[pa.Table], Floats],
    features: tuple[str, ...],
    problem: Problem,
    thresholds: tuple[float, ...],
) -> tuple[Effect, ...]:
    """Per feature, in order of worth, on a sample of rows.

    Args:
        rows: with the features and `_label`.
        score: a model: rows to scores, shape (n,) or (n, k).
    """
    generator = np.random.default_rng(SEED)
    chosen = np.sort(generator.permutation(rows.num_rows)[:SAMPLE])
    sample, order = rows.take(chosen), generator.permutation(len(chosen))
    labels, metric, task = targets.targets(sample["_label"], problem), problem.success.metric, problem.problem.task
    sign, usual = metrics.better(metric), score(sample)
    said, value = metrics.decide(task, usual, thresholds), metrics.metric(metric, labels, usual)
    moves = np.abs(usual - labels).mean(axis=0) if problem.task.label == "number" else 0.0

    def effect(name: str) -> Effect:
        column = sample[name]
        shuffled = score(_with(sample, name, column.take(order)))
        missing = score(_with(sample, name, pa.nulls(sample.num_rows, column.type)))
        moved = np.abs(metrics.decide(task, missing, thresholds).astype(float) - said) > moves
        return Effect(
            feature=name,
            shuffled=sign * (value - metrics.metric(metric, labels, shuffled)),
            missing=sign * (value - metrics.metric(metric, labels, missing)),
            moved=float(moved.reshape(len(labels), -1).any(axis=1).mean()),
        )

    return tuple(sorted((effect(name) for name in features), key=lambda found: -found.shuffled))


def _with(rows: pa.Table, name: str, column: pa.ChunkedArray | pa.Array) -> pa.Table:
    return rows.set_column(rows.column_names.index(name), name, column)
