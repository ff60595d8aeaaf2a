"""The pure core: scores of several models on the same rows become one evaluation."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ml import metrics
from ml.evaluate.fairness import gaps_of
from ml.evaluate.models import CANDIDATE, CHAMPION, Judged, Masks
from ml.metrics import Comparison, Draws, Floats
from ml.records import Evaluated, Interval, Scores
from ml.tables import DAY

MISSING = "missing"
IN_SLICES = 300  # repetitions, of rows


def compare(judged: Judged) -> Evaluated:
    """Judge the candidate next to what it wants to replace; every model meets the same draws of days."""
    problem, labels, models = judged.problem, judged.labels, judged.models
    gate, metric, champion = problem.gate, problem.success.metric, judged.champion
    draws = Draws.over(judged.rows[DAY].to_pylist(), judged.rows.num_rows)
    whole = Comparison(problem.task.metrics, labels, models, draws, confidence=gate.confidence)
    slices = slices_of(judged.rows, (*problem.success.slices, *problem.success.protected))
    large = {name: mask for name, mask in slices.items() if mask.sum() >= gate.slice_rows}
    parts, gains = _in_slices(judged, labels, large)
    days = pc.unique(judged.rows[DAY]).to_pylist()
    scores = {
        name: Scores(metrics={one: whole.value(name, one) for one in problem.task.metrics}, slices=parts.get(name, {}))
        for name in models
    }
    return Evaluated(
        task=problem.problem.task,
        num_rows=judged.rows.num_rows,
        days=len(days),
        newest_label=max(days),
        positive_rate=float(np.atleast_1d(labels.mean(axis=0))[0]),
        resampled=draws.by,
        candidate=scores[CANDIDATE],
        baselines={name: one for name, one in scores.items() if name not in (CANDIDATE, CHAMPION)},
        champion=scores.get(CHAMPION),
        champion_version=champion.version if champion else None,
        champion_problem=champion.problem if champion else "",
        gains_over={name: whole.gain(metric, CANDIDATE, name) for name in judged.scores if name != CANDIDATE},
        gain_over_champion=whole.gain(metric, CANDIDATE, CHAMPION) if CHAMPION in models else None,
        naive=naive(metric, labels),
        slice_gains=gains,
        slice_rows={name: int(mask.sum()) for name, mask in slices.items()},
        flips=int(judged.flipped.sum()),
        gaps=gaps_of(judged, {name: mask for name, mask in large.items() if name.split("=")[0] in problem.success.protected}),
        spread=float(np.std(judged.scores[CANDIDATE], axis=0).max()),
        **_decided(judged, labels),
        **_calibrated(judged, labels, draws),
    )


def slices_of(rows: pa.Table, columns: tuple[str, ...]) -> Masks:
    """Boolean masks, shape (n,), one per `column=value`; a missing value is a slice too."""
    masks: Masks = {}
    for column in columns:
        values = np.asarray(rows[column].cast(pa.string()).fill_null(MISSING).to_pylist(), dtype=object)
        masks |= {f"{column}={value}": values == value for value in sorted(set(values))}
    return masks


def naive(metric: str, labels: Floats) -> float:
    """The metric of the best constant answer."""
    return metrics.metric(metric, labels, np.broadcast_to(labels.mean(axis=0), labels.shape).copy())


def _in_slices(judged: Judged, labels: Floats, large: Masks) -> tuple[dict[str, dict[str, Interval]], dict[str, Interval]]:
    """The success metric of candidate and champion per slice, and the paired gain, where the metric is defined.

    Rows are drawn here, not days: a gain must hold on other days too before it promotes, but a slice that was served worse on
    these days, beyond the chance of its rows, is reason enough to say no. Days are few, and would hide a broken slice.
    """
    metric, confidence = judged.problem.success.metric, judged.problem.gate.confidence
    models = {name: scores for name, scores in judged.models.items() if name in (CANDIDATE, CHAMPION)}
    found: dict[str, dict[str, Interval]] = {name: {} for name in models}
    gains: dict[str, Interval] = {}
    for name, mask in large.items():
        inside = {model: scores[mask] for model, scores in models.items()}
        draws = Draws.over(None, int(mask.sum()), repetitions=IN_SLICES)
        one = Comparison([metric], labels[mask], inside, draws, confidence=confidence)
        values = {model: one.value(model, metric) for model in models}
        if any(np.isnan(value.value) for value in values.values()):
            continue
        for model, value in values.items():
            found[model][name] = value
        if CHAMPION in models:
            gains[name] = one.gain(metric, CANDIDATE, CHAMPION)
    return found, gains


def _decided(judged: Judged, labels: Floats) -> dict[str, Any]:
    """What the decisions come to: counts per output and costs, or how far numbers are off."""
    problem, said = judged.problem, judged.said
    names, scores = problem.outputs, judged.scores[CANDIDATE]
    if problem.task.label == "number":
        errors = np.abs(scores - labels).reshape(len(labels), -1)
        return {"misses": {name: _misses(one) for name, one in zip(names, errors.T, strict=True)}}
    yes = np.eye(len(names), dtype=bool)[said] if problem.problem.task == "multiclass" else said.reshape(len(labels), -1)
    real = labels.reshape(len(labels), -1) == 1
    counts = {name: metrics.counts(real[:, place], yes[:, place]) for place, name in enumerate(names)}
    told: dict[str, Any] = {"confusions": counts}
    if problem.task.decides:
        told |= {"thresholds": judged.thresholds, "threshold": judged.thresholds[0]}
    return told | (_costs(judged, labels) | {"confusion": counts[names[0]]} if problem.problem.task == "binary" else {})


def _misses(errors: Floats) -> dict[str, float]:
    half, nine_in_ten = np.quantile(errors, [0.5, 0.9])
    return {"mean": float(errors.mean()), "half": float(half), "nine_in_ten": float(nine_in_ten)}


def _costs(judged: Judged, labels: Floats) -> dict[str, Any]:
    """Cost per row of the chosen threshold, the one that these rows would have liked best, and of always the same answer."""
    cost, scores = judged.problem.success.cost.model_dump(), judged.scores[CANDIDATE]
    cheapest = metrics.cheapest_threshold(labels, scores, **cost)
    ways = {"chosen": judged.thresholds[0], "cheapest": cheapest, "always": -np.inf, "never": np.inf}
    return {"costs": {name: metrics.cost_of(labels, scores, one, **cost) for name, one in ways.items()}, "cheapest": cheapest}


def _calibrated(judged: Judged, labels: Floats, draws: Draws) -> dict[str, Any]:
    numbers, scores = judged.problem.task.label == "number", judged.scores[CANDIDATE]
    unit = judged.unit if numbers else 1.0
    slope = metrics.calibration_slope(
        labels / unit, scores / unit, draws.blocks, probabilities=not numbers, confidence=judged.problem.gate.confidence
    )
    return {"calibration_error": metrics.calibration_error(labels / unit, scores / unit), "calibration_slope": slope}
