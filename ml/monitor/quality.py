"""Live quality against what the evaluation promised, whole and by slice, and calibration, on answers that are old enough."""

import math

import numpy as np

from ml.monitor import calibration, slices
from ml.monitor.answers import Labelled
from ml.monitor.evidence import Evidence
from ml.monitor.finding import too_few, unknown
from ml.monitor.promise import drop, level, live, over_days, told
from ml.monitor.sample import choose
from ml.problem import Problem
from ml.records import DriftFinding, Evaluated, Interval


def of_labelled(evidence: Evidence, problem: Problem) -> list[DriftFinding]:
    """Live quality and that of slices against the promise, the mean score against the observed rate, the calibration slope."""
    known, policy, name = evidence.labelled, problem.drift, problem.success.metric
    if len(known.labels) < policy.minimum_rows:
        why = too_few(len(known.labels), "answers with a known label", policy)
        return [unknown("concept", subject, why) for subject in (name, "calibration")]
    sample = known.only(choose(len(known.labels)))
    whole = _quality(sample, evidence.reference.promised.get(name), problem)
    cost = cost_gap(known, evidence.reference.evaluated, problem)
    if cost is not None:
        each = f"; a decision cost {cost.value:+.3f} [{cost.low:+.3f}, {cost.high:+.3f}] more than in the evaluation"
        whole = whole.model_copy(update={"sentence": whole.sentence + each})
    return [whole, *slices.of_slices(sample, evidence, problem), *calibration.of_scores(known, evidence, problem)]


def _quality(known: Labelled, promised: Interval | None, problem: Problem) -> DriftFinding:
    """Worse than promised by more than `quality_drop`, and surely worse."""
    name, policy = problem.success.metric, problem.drift
    if promised is None or math.isnan(promised.value):
        return unknown("concept", name, f"the champion's evaluation promised no {name}")
    found = live(known, promised, name, problem.gate.confidence)
    if math.isnan(found.value):
        return unknown("concept", name, f"{name} is not defined: all {len(known.labels)} known labels are the same")
    worse, p_value = drop(found, promised, name)
    drifted = worse > policy.quality_drop and p_value < level(problem)
    return told(known, found, promised, problem, (name, drifted, p_value))


def cost_gap(known: Labelled, evaluated: Evaluated | None, problem: Problem) -> Interval | None:
    """What a decision cost more than in the evaluation, in units of [success] cost; None where answers are no yes or no."""
    if evaluated is None or not evaluated.costs or len(known.labels) == 0:
        return None
    yes, cost = known.scores >= evaluated.threshold, problem.success.cost
    costs = np.where(yes, cost.false_positive * (1 - known.labels), cost.false_negative * known.labels)
    return over_days(costs - evaluated.costs["chosen"], known.days, problem.gate.confidence)
