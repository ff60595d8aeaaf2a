"""The protocol's validation score: the network fitted and judged once per fold, with the noise between the folds."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ml import features, folds, metrics, snapshot, targets
from ml.features import encoder
from ml.problem import Problem, Training
from ml.records import FoldScores
from ml.tables import DAY
from ml.train import fit, machine
from ml.train.learner import Arrays

Floats = npt.NDArray[np.float64]
KINDS = ("teaches", "judges")


def write(folder: Path, rows: pa.Table, problem: Problem) -> None:
    """Encode every fold once, for many fits; each encoder learns from what teaches in its fold only.

    Args:
        rows: all frozen rows of a run.
    Raises: DataError: what teaches in a fold cannot teach.
    """
    for number, fold in enumerate(folds.of(rows, problem.split)):
        parts = {kind: rows.filter(pa.array(mask)) for kind, mask in zip(KINDS, fold, strict=True)}
        targets.refuse_poor(parts["teaches"]["_label"], problem, "train")
        targets.refuse_poor(parts["judges"]["_label"], problem, f"judging (fold {number + 1})")
        encoding = features.fit(parts["teaches"], problem.features, timezone=problem.source.timezone)
        encoded = snapshot.encode(parts, encoding, problem)
        arrays = {f"{kind}.{name}": array for kind, packed in encoded.items() for name, array in packed.items()}
        np.savez(folder / f"{number}.npz", allow_pickle=False, days=days_of(parts["judges"]), **arrays)
        (folder / f"{number}.json").write_text(json.dumps(encoder.sizes(encoding)))


def judge(folder: Path, problem: Problem, training: Training) -> FoldScores:
    """Fit and judge on every fold that `write` has written.

    Raises: DataError: a loss is not finite.
    """
    scores: list[float] = []
    fitted: list[fit.Fitted] = []
    without: tuple[float, ...] = ()
    files = sorted(folder.glob("*.npz"), key=lambda path: int(path.stem))
    for path in files:
        with np.load(path, allow_pickle=False) as arrays:
            teaches, judges = (_part(arrays, kind) for kind in KINDS)
            days = arrays["days"]
        sizes: dict[str, Any] = json.loads(path.with_suffix(".json").read_text())
        one = fit.fit(teaches, judges, sizes=sizes, task=problem.problem.task, training=training, progress=lambda told: None)
        labels, answers = judges["label"].astype(np.float64), fit.predict(one.model, judges)
        scores.append(metrics.metric(problem.success.metric, labels, answers))
        without = left_out(problem.success.metric, labels, answers, days) if len(files) == 1 else ()
        fitted.append(one)
    return FoldScores(
        metric=problem.success.metric,
        scores=tuple(scores),
        value=float(np.mean(scores)),
        deviation=float(np.std(scores, ddof=1)) if len(scores) > 1 else jackknife(without),
        left_out=without,
        epochs=tuple(one.best_epoch for one in fitted),
        history={name: fitted[-1].history[name] for name in ("loss", "val_loss")},
        num_parameters=fitted[-1].model.count_params(),
    )


def judge_alone(folder: Path, problem: Problem, training: Training) -> FoldScores:
    """The same in a process of its own, with the threads that a training has."""
    machine.settle(training.threads)
    return judge(folder, problem, training)


def whole_alone(folder: Path, rows: pa.Table, problem: Problem) -> FoldScores:
    """Encode and judge in one go, in a process of its own."""
    machine.settle(problem.training.threads)
    write(folder, rows, problem)
    return judge(folder, problem, problem.training)


def _part(arrays: Any, kind: str) -> Arrays:
    return {name.partition(".")[2]: arrays[name] for name in arrays.files if name.startswith(f"{kind}.")}


def days_of(rows: pa.Table) -> npt.NDArray[np.int64]:
    """The day of every row, counted from 1970, shape (n,)."""
    return np.asarray(rows[DAY].to_numpy().astype("datetime64[D]").astype(np.int64))


def left_out(metric: str, labels: Floats, answers: Floats, days: npt.NDArray[np.int64]) -> tuple[float, ...]:
    """The score without each of the days; nothing when one day holds all of a class, so that it cannot be left out."""
    found = tuple(metrics.metric(metric, labels[days != day], answers[days != day]) for day in np.unique(days))
    return found if np.isfinite(found).all() else ()


def jackknife(left_out: Sequence[float]) -> float | None:
    """Standard error of a value from what it becomes when each block is left out (Efron and Tibshirani 1993, chapter 11)."""
    size = len(left_out)
    return float(np.sqrt((size - 1) / size * np.sum((np.array(left_out) - np.mean(left_out)) ** 2))) if size > 1 else None
