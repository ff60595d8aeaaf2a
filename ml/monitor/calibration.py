"""Calibration in production: do the scores promise as much as there was, and are their differences true?"""

import math

import numpy as np

from ml import metrics
from ml.metrics import FEWEST_DAYS, Draws, Floats
from ml.monitor.answers import Labelled, Texts
from ml.monitor.evidence import Evidence
from ml.monitor.finding import SCORE, chance, outputs, unknown
from ml.monitor.promise import level, over_days
from ml.monitor.sample import choose
from ml.problem import Problem
from ml.records import DriftFinding, Interval

SLOPE = "calibration slope"


def of_scores(known: Labelled, evidence: Evidence, problem: Problem) -> list[DriftFinding]:
    """The mean score of every output against the mean of its labels, and the calibration slope."""
    return [*_means(known, evidence, problem), _slope(known.only(choose(len(known.labels))), problem)]


def _means(known: Labelled, evidence: Evidence, problem: Problem) -> list[DriftFinding]:
    """Per output, whether the mean of the scores is that of the labels; numbers are measured in their own deviations."""
    labels, scores = outputs(known.labels, problem), outputs(known.scores, problem)
    each = level(problem) / len(labels)
    tested, days = evidence.reference.tested, known.days
    before = outputs(tested.scores - tested.labels, problem) if tested else {}
    findings = []
    for name, truth in labels.items():
        unit = (float(truth.std()) or 1.0) if problem.task.label == "number" else 1.0
        gap = over_days((scores[name] - truth) / unit, days, problem.gate.confidence)
        if tested:
            gap = _widened(gap, before[name] / unit, tested.days, days)
        findings.append(_finding(name.replace(SCORE, "calibration"), gap, (scores[name], truth), problem, limit=each))
    return findings


def _widened(gap: Interval, before: Floats, days_before: Texts, days: Texts | None) -> Interval:
    """Where days are few: the error that the evaluation's days show, were it larger."""
    names, places = np.unique(days_before, return_inverse=True)
    num_days = len(np.unique(days)) if days is not None else 1
    if num_days >= FEWEST_DAYS or len(names) < FEWEST_DAYS or gap.error is None:
        return gap
    daily = np.bincount(places, before) / np.bincount(places)
    error = float(daily.std(ddof=1)) / math.sqrt(num_days)
    if not error > gap.error:
        return gap
    freedom = len(names) - 1
    half = (gap.high - gap.value) / gap.error * error
    return Interval(value=gap.value, low=gap.value - half, high=gap.value + half, error=error, freedom=freedom)


def _finding(subject: str, gap: Interval, pair: tuple[Floats, Floats], problem: Problem, *, limit: float) -> DriftFinding:
    policy, numbers = problem.drift, problem.task.label == "number"
    p_value = min(1.0, 2 * min(metrics.doubt(gap, 0.0), metrics.doubt(gap, 0.0, above=False)))
    means = [f"{one.mean():.4g}" if numbers else f"{one.mean():.1%}" for one in pair]
    sentence = (
        f"predicted {means[0]}, observed {means[1]}: gap {gap.value:+.3f} [{gap.low:+.3f}, {gap.high:+.3f}]"
        f"{' deviations' if numbers else ''}, limit {policy.rate_gap:g} either way, {chance(p_value)}"
    )
    return DriftFinding(
        kind="concept",
        subject=subject,
        drifted=abs(gap.value) > policy.rate_gap and p_value < limit,
        value=gap.value,
        limit=policy.rate_gap,
        p_value=p_value,
        sentence=sentence,
    )


def _slope(known: Labelled, problem: Problem) -> DriftFinding:
    """How much of the differences between scores is true; the gate's limit holds in service too."""
    limit, numbers = problem.gate.calibration_slope, problem.task.label == "number"
    unit = np.where(known.labels.std(axis=0) > 0, known.labels.std(axis=0), 1.0) if numbers else 1.0
    blocks = Draws.over(known.days, len(known.labels)).blocks
    found = metrics.calibration_slope(
        known.labels / unit, known.scores / unit, blocks, probabilities=not numbers, confidence=problem.gate.confidence
    )
    if math.isnan(found.value):
        return unknown("concept", SLOPE, "known labels or scores do not vary")
    p_value = metrics.doubt(found, limit, above=False)
    return DriftFinding(
        kind="concept",
        subject=SLOPE,
        drifted=found.value < limit and p_value < level(problem),
        value=found.value,
        limit=limit,
        p_value=p_value,
        sentence=f"calibration slope {found.value:.2f} [{found.low:.2f}, {found.high:.2f}], 1 is right, limit {limit:g}, "
        f"{chance(p_value)}",
    )
