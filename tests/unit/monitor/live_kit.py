"""Evidence made on purpose: a yes-or-no problem with two columns, calibrated scores and days of answers."""

from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa

from ml import metrics
from ml.metrics import Comparison, Draws
from ml.monitor.answers import Labelled
from ml.monitor.evidence import Evidence, Reference, Truth
from ml.problem import Problem
from ml.records import Effect, Evaluated, Interval, Scores

SLICES = ("north", "south", "west")


def problem(metric: str = "auc", task: str = "binary", *, confidence: float = 0.95, **drift: Any) -> Problem:
    return Problem.model_validate(
        {
            "problem": {"name": "orders", "title": "Late?", "task": task, "owner": "tests"},
            "source": {"table": "orders", "key": "id", "event_time": "at", "label": "late", "label_time": "known_at"},
            "features": {"size": {"type": "number"}, "area": {"type": "category"}, "noise": {"type": "number"}},
            "success": {"metric": metric, "slices": ["area"]},
            "gate": {"confidence": confidence},
            "drift": drift,
        }
    )


ORDERS = problem()


def days_of(size: int, num_days: int, first: int = 1) -> np.ndarray:
    return np.array([f"2026-03-{first + place * num_days // size:02d}" for place in range(size)])


def scored(size: int, seed: int, *, num_days: int = 7, between: float = 0.3, columns: Any = None) -> tuple[np.ndarray, ...]:
    """Scores and labels of some days; a day has a level of its own (`between`, in logits) that no score knows."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(-1, 1.2, size) if columns is None else columns
    levels = rng.normal(0, between, num_days)[np.arange(size) * num_days // size]
    return 1 / (1 + np.exp(-logits)), (rng.random(size) < 1 / (1 + np.exp(-logits - levels))).astype(float)


def table(size: int, seed: int, *, shift: float = 0.0, noise: float = 0.0) -> dict[str, pa.ChunkedArray]:
    rng = np.random.default_rng(seed)
    columns = {"size": rng.normal(10 + shift, 1, size), "area": rng.choice(SLICES, size), "noise": rng.normal(noise, 1, size)}
    return {name: pa.chunked_array([pa.array(values.tolist())]) for name, values in columns.items()}


def evaluated(scores: np.ndarray, labels: np.ndarray, days: np.ndarray, areas: list[str], **more: Any) -> Evaluated:
    draws = Draws.over(days, len(labels))
    found = Comparison(["auc", "log_loss"], labels, {"": scores}, draws, confidence=0.95)
    masks = {f"area={name}": np.asarray(areas) == name for name in SLICES}
    slices = {
        name: metrics.bootstrap("auc", labels[mask], scores[mask], confidence=0.95) for name, mask in masks.items() if mask.any()
    }
    cost = {"false_positive": 1.0, "false_negative": 1.0}
    costs = {
        name: metrics.cost_of(labels, scores, at, **cost) for name, at in (("chosen", 0.5), ("always", -1.0), ("never", 2.0))
    }
    effects = (
        Effect(feature="size", shuffled=0.2, missing=0.2, moved=0.3),
        Effect(feature="area", shuffled=0.02, missing=0.02, moved=0.1),
        Effect(feature="noise", shuffled=-0.001, missing=0.0, moved=0.0),
    )
    content: dict[str, Any] = {
        "num_rows": len(labels),
        "newest_label": date(2026, 3, 1),
        "positive_rate": float(labels.mean()),
        "candidate": Scores(metrics={one: found.value("", one) for one in ("auc", "log_loss")}, slices=slices),
        "champion": None,
        "champion_version": None,
        "gain_over_champion": None,
        "slice_gains": {},
        "slice_rows": {},
        "flips": 0,
        "calibration_error": 0.01,
        "days": 7,
        "naive": 0.5,
        "costs": costs,
        "effects": effects,
    }
    return Evaluated(**(content | more))


def reference(size: int = 7000, seed: int = 1) -> Reference:
    scores, labels = scored(size, seed)
    days, columns = days_of(size, 7), table(size, seed)
    record = evaluated(scores, labels, days, columns["area"].to_pylist())
    tested = Truth(scores, labels, days, {})
    return Reference(columns, scores, record.candidate.metrics, evaluated=record, tested=tested)


def labelled(
    scores: np.ndarray, labels: np.ndarray, days: np.ndarray | None, columns: dict[str, pa.ChunkedArray] | None = None
) -> Labelled:
    keys = np.array([f"k{place}" for place in range(len(labels))])
    rows = (
        [dict(zip(columns, values, strict=True)) for values in zip(*(one.to_pylist() for one in columns.values()), strict=True)]
        if columns
        else []
    )
    return Labelled(scores, labels, 0, 0, 0, 1, days, 0, keys, dict(zip(keys.tolist(), rows, strict=False)))


NOBODY = Labelled(np.zeros(0), np.zeros(0), 0, 0, 0)


def evidence(*, columns: dict[str, pa.ChunkedArray], scores: np.ndarray, known: Labelled = NOBODY, **more: Any) -> Evidence:
    whole = Evidence(len(scores), 0, columns, scores, {}, reference(), known)
    return replace(whole, **more)


def interval(value: float, error: float, freedom: int = 6) -> Interval:
    return Interval(value=value, low=value - 2 * error, high=value + 2 * error, error=error, freedom=freedom)
