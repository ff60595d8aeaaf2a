"""Rules about whether the numbers may be believed at all: enough fresh rows, unseen ones, no leak, an honest and whole model."""

import math
from collections.abc import Iterator
from datetime import date

from ml import metrics
from ml.gate.comparison import UNCOMPARED
from ml.gate.rehearsal import COMPARED, MEASURED
from ml.gate.rule import rule
from ml.problem import Problem
from ml.records import Evaluated, Rule

ENOUGH, COMPUTED = "enough test rows", "labels that tell"
UNASSESSABLE = {ENOUGH, COMPUTED, MEASURED, COMPARED, UNCOMPARED}  # breaking one of these means: we cannot know
PERFECT = {name: 0.0 if metrics.better(name) < 0 else 1.0 for name in metrics.METRICS}
CONSTANT = 1e-6  # standard deviation of scores below which a model says always the same


def rules(evaluated: Evaluated, problem: Problem, today: date) -> Iterator[Rule]:
    """Every rule about trust."""
    yield _enough_rows(evaluated, problem)
    yield _computed(evaluated, problem)
    yield _freshness(evaluated, problem, today)
    yield from _learning(evaluated)
    yield from _model(evaluated, problem)
    yield from _leaks(evaluated, problem)
    yield from _calibration(evaluated, problem)


def size(evaluated: Evaluated, problem: Problem) -> Iterator[Rule]:
    """Where the problem limits it."""
    limit = problem.gate.maximum_size_mb
    if limit is not None:
        value = math.nan if evaluated.size_mb is None else evaluated.size_mb
        yield rule("size", value, limit, value <= limit, f"the model has {value:.2f} MB, {limit:g} allowed")


def _enough_rows(evaluated: Evaluated, problem: Problem) -> Rule:
    value, limit = evaluated.num_rows, problem.gate.minimum_rows
    return rule(ENOUGH, value, limit, value >= limit, f"{value:,} labelled test rows, {limit:,} needed")


def _computed(evaluated: Evaluated, problem: Problem) -> Rule:
    name = problem.success.metric
    value = evaluated.candidate.metrics[name].value
    sentence = f"{name} is {value:.4f}" if not math.isnan(value) else f"{name} cannot be computed: every label is the same"
    return rule(COMPUTED, value, None, True, sentence)


def _freshness(evaluated: Evaluated, problem: Problem, today: date) -> Rule:
    age, limit = (today - evaluated.newest_label).days, problem.gate.maximum_age_days
    return rule("freshness", age, limit, age <= limit, f"the newest labelled row is {age} days old, {limit} allowed")


def _learning(evaluated: Evaluated) -> Iterator[Rule]:
    told = "learned from another snapshot of the data" if evaluated.stale_rows else "learned from the rows of this run"
    yield rule("learned from this run's rows", float(evaluated.stale_rows), 0.0, not evaluated.stale_rows, f"it {told}")
    seen = evaluated.num_seen
    yield rule("unseen test rows", seen, 0, seen == 0, f"{seen:,} of {evaluated.num_rows:,} test rows were learned from")


def _model(evaluated: Evaluated, problem: Problem) -> Iterator[Rule]:
    spread = evaluated.spread
    if spread is not None:
        holds = spread > CONSTANT
        yield rule(
            "not constant", spread, CONSTANT, holds, f"its answers vary by {spread:.4g}" if holds else "it says always the same"
        )
    difference, limit = evaluated.example_difference, problem.serving.tolerance
    if difference is not None:
        sentence = f"its example is answered within {difference:.1e} of what training saw, {limit:.0e} allowed"
        yield rule("answers as trained", difference, limit, difference <= limit, sentence)


def _leaks(evaluated: Evaluated, problem: Problem) -> Iterator[Rule]:
    """Too good to be true. What a model knows is measured as skill: 0 is a constant answer, 1 a perfect one."""
    gate, metric = problem.gate, problem.success.metric
    value, whole = evaluated.candidate.metrics[metric].value, PERFECT[metric] - (evaluated.naive or 0.0)
    if evaluated.naive is None or math.isnan(value) or whole == 0:
        return
    skill = (value - evaluated.naive) / whole
    sentence = f"{metric} {value:.4f} is {skill:.0%} of the way from a constant answer to a perfect one"
    yield rule(
        "believable", skill, gate.believable_skill, skill <= gate.believable_skill, sentence + _look(skill, gate.believable_skill)
    )
    if evaluated.effects:
        best = evaluated.effects[0]
        # Shuffling can make a model worse than a constant: no feature carries more than all there is.
        alone = min(metrics.better(metric) * best.shuffled / whole, skill)
        told = f"{best.feature} alone carries {max(alone, 0):.0%} of the way to a perfect answer"
        yield rule(
            "no feature alone", alone, gate.feature_skill, alone <= gate.feature_skill, told + _look(alone, gate.feature_skill)
        )
    if evaluated.champion is not None and (left := abs(PERFECT[metric] - evaluated.champion.metrics[metric].value)) > 0:
        share = metrics.better(metric) * (value - evaluated.champion.metrics[metric].value) / left
        told = f"{max(share, 0):.0%} of the champion's remaining error is gone"
        yield rule(
            "believable gain",
            share,
            gate.believable_gain,
            share <= gate.believable_gain,
            told + _look(share, gate.believable_gain),
        )


def _look(value: float, limit: float) -> str:
    return f", {limit:.0%} can be believed" + ("; look for a column that knows the label" if value > limit else "")


def _calibration(evaluated: Evaluated, problem: Problem) -> Iterator[Rule]:
    """The level of the probabilities, and how sure of itself the model is: for the slope its interval must reach the limit."""
    value, limit = evaluated.calibration_error, problem.gate.calibration
    unit = "" if problem.task.label != "number" else " standard deviations"
    said = "probabilities" if unit == "" else "answers"
    yield rule("calibration", value, limit, value <= limit, f"{said} are off by {value:.3f}{unit} on average, {limit:g} allowed")
    slope, least = evaluated.calibration_slope, problem.gate.calibration_slope
    if slope is not None and not math.isnan(slope.value):
        sentence = f"calibration slope {slope.value:.2f} [{slope.low:.2f}, {slope.high:.2f}], {least:g} must be within reach"
        yield rule("not over-confident", slope.high, least, slope.high >= least, sentence)
