"""Live quality against what the evaluation promised, on answers whose labels have arrived."""

import math

from ml import drift, metrics
from ml.drift import Floats
from ml.monitor.evidence import Evidence, Labelled, choose
from ml.monitor.finding import SCORE, chance, outputs, too_few, unknown
from ml.problem import Problem
from ml.records import DriftFinding, Interval


def of_labelled(evidence: Evidence, problem: Problem) -> list[DriftFinding]:
    """Live quality against the promise, and the mean score against the observed rate."""
    known, policy, name = evidence.labelled, problem.drift, problem.success.metric
    if len(known.labels) < policy.minimum_rows:
        why = too_few(len(known.labels), "answers with a known label", policy)
        return [unknown("concept", subject, why) for subject in (name, "calibration")]
    kept = choose(len(known.labels))
    sample = Labelled(known.scores[kept], known.labels[kept], known.num_repeated, known.num_keyless, known.num_waiting)
    return [_quality(sample, evidence.reference.promised.get(name), problem), *_calibration(known, problem)]


def _quality(known: Labelled, promised: Interval | None, problem: Problem) -> DriftFinding:
    """Worse than promised by more than `quality_drop`, and the bootstrap interval does not hold the promise."""
    name, policy = problem.success.metric, problem.drift
    if promised is None or math.isnan(promised.value):
        return unknown("concept", name, f"the champion's evaluation promised no {name}")
    live = metrics.bootstrap(name, known.labels, known.scores, confidence=policy.confidence)
    if math.isnan(live.value):
        return unknown("concept", name, f"{name} is not defined: all {len(known.labels)} known labels are the same")
    sign = metrics.better(name)
    excluded = not live.low <= promised.value <= live.high
    drifted = sign * (promised.value - live.value) > policy.quality_drop and excluded
    limit = promised.value - sign * policy.quality_drop
    sentence = (
        f"live {name} {live.value:.3f} [{live.low:.3f}, {live.high:.3f}] on {len(known.labels)} labelled answers, "
        f"promised {promised.value:.3f}, limit {limit:.3f}"
    )
    return DriftFinding(
        kind="concept", subject=name, drifted=drifted, value=live.value, limit=limit, p_value=None, sentence=sentence
    )


def _calibration(known: Labelled, problem: Problem) -> list[DriftFinding]:
    """Per output, whether the mean of the scores is that of the labels; numbers are measured in their own deviations."""
    labels, scores = outputs(known.labels, problem), outputs(known.scores, problem)
    level = (1 - problem.drift.confidence) / len(labels)
    return [
        _mean_gap(name.replace(SCORE, "calibration"), scores[name], truth, problem, level=level) for name, truth in labels.items()
    ]


def _mean_gap(subject: str, scores: Floats, labels: Floats, problem: Problem, *, level: float) -> DriftFinding:
    policy, numbers = problem.drift, problem.task.label == "number"
    unit = float(labels.std()) or 1.0 if numbers else 1.0
    gap, p_value = drift.rate_gap(scores / unit, labels / unit)
    means = [f"{one.mean():.4g}" if numbers else f"{one.mean():.1%}" for one in (scores, labels)]
    sentence = (
        f"predicted {means[0]}, observed {means[1]}: "
        f"gap {gap:+.3f}{' deviations' if numbers else ''}, limit {policy.rate_gap:g} either way, {chance(p_value)}"
    )
    return DriftFinding(
        kind="concept",
        subject=subject,
        drifted=abs(gap) > policy.rate_gap and p_value < level,
        value=gap,
        limit=policy.rate_gap,
        p_value=p_value,
        sentence=sentence,
    )
