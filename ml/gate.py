"""Stage 6: may the candidate replace the champion? A pure function of the evaluation and the policy."""

import logging
import math
from datetime import date

from ml import metrics
from ml.context import Context
from ml.problem import Problem
from ml.records import Evaluated, Interval, Rule, Verdict
from ml.window import local_day

log = logging.getLogger(__name__)
UNASSESSABLE = {"enough test rows", "champion on the same rows"}  # breaking one of these means: we cannot know


def run(context: Context) -> Verdict:
    """Decide and write the verdict; "no" is a result, not a failure."""
    evaluated = context.record(Evaluated)
    today = local_day(context.settings.now(), context.problem.source.timezone)
    inputs = [evaluated.model_dump(mode="json"), context.problem.gate.model_dump(), context.dry_run]
    verdict = context.once(Verdict, inputs, lambda: decide(evaluated, context.problem, today=today, dry_run=context.dry_run))
    log.info("gate: %s", verdict.sentence)
    return verdict


def decide(evaluated: Evaluated, problem: Problem, *, today: date, dry_run: bool = False) -> Verdict:
    """Judge every rule; one that cannot be computed does not hold.

    Returns: promote when all rules hold; not assessable when there are too few rows or the champion cannot be compared;
        else reject. Every rule is listed with its value, its limit and a sentence.
    """
    rules = (
        _enough_rows(evaluated, problem),
        _freshness(evaluated, problem, today),
        *_floors(evaluated, problem),
        *_baselines(evaluated, problem),
        _champion(evaluated, problem),
        *_slices(evaluated, problem),
        _calibration(evaluated, problem),
    )
    broken = {rule.rule for rule in rules if not rule.holds}
    decision = "promote" if not broken else "not assessable" if broken & UNASSESSABLE else "reject"
    return Verdict(decision=decision, rules=rules, champion_version=evaluated.champion_version, dry_run=dry_run)


def _rule(name: str, value: float, limit: float, holds: bool, sentence: str) -> Rule:
    """A rule whose value is not a number never holds."""
    known = not math.isnan(value)
    return Rule(rule=name, value=value if known else None, limit=limit, holds=holds and known, sentence=sentence)


def _enough_rows(evaluated: Evaluated, problem: Problem) -> Rule:
    value, limit = evaluated.num_rows, problem.gate.minimum_rows
    return _rule("enough test rows", value, limit, value >= limit, f"{value:,} labelled test rows, {limit:,} needed")


def _freshness(evaluated: Evaluated, problem: Problem, today: date) -> Rule:
    age, limit = (today - evaluated.newest_label).days, problem.gate.maximum_age_days
    return _rule("freshness", age, limit, age <= limit, f"the newest labelled row is {age} days old, {limit} allowed")


def _floors(evaluated: Evaluated, problem: Problem) -> list[Rule]:
    """The whole interval must be on the right side of the floor, not only its middle."""
    rules = []
    for name, limit in problem.gate.floors.items():
        sign, interval = metrics.better(name), evaluated.candidate.metrics[name]
        worst = interval.low if sign > 0 else interval.high
        sentence = (
            f"{name} {interval.value:.4f} is at worst {worst:.4f}, {'at least' if sign > 0 else 'at most'} {limit:g} is asked"
        )
        rules.append(_rule(f"floor of {name}", worst, limit, sign * worst >= sign * limit, sentence))
    return rules


def _baselines(evaluated: Evaluated, problem: Problem) -> list[Rule]:
    """One rule for every simple model that must be beaten."""
    limit = -problem.gate.baseline_margin
    rules = []
    for name in problem.success.must_beat:
        gain = evaluated.gains_over[name]
        sentence = f"{_told(gain, problem)} against the baseline {name}, more than {limit:+g} for sure is asked"
        rules.append(_rule(f"against baseline {name}", gain.low, limit, gain.low > limit, sentence))
    return rules


def _champion(evaluated: Evaluated, problem: Problem) -> Rule:
    """Gain for sure, or, where the problem allows it, not worse than the margin for sure."""
    name, gate = "champion on the same rows", problem.gate
    limit = gate.minimum_gain if gate.non_inferiority_margin is None else -gate.non_inferiority_margin
    if evaluated.champion_version is None:
        return Rule(rule="against the champion", value=None, limit=limit, holds=True, sentence="there is no champion yet")
    gain = evaluated.gain_over_champion
    if gain is None:
        return Rule(rule=name, value=None, limit=limit, holds=False, sentence=evaluated.champion_problem)
    against = f"against champion {evaluated.champion_version} on the same rows, more than {limit:+g} for sure is asked"
    return _rule("against the champion", gain.low, limit, gain.low > limit, f"{_told(gain, problem)} {against}")


def _slices(evaluated: Evaluated, problem: Problem) -> list[Rule]:
    limit = -problem.gate.slice_margin
    return [
        _rule(
            f"slice {name}",
            gain.value,
            limit,
            gain.value >= limit,
            f"{_told(gain, problem)} where {name}, at least {limit:+g} is asked",
        )
        for name, gain in evaluated.slice_gains.items()
    ]


def _calibration(evaluated: Evaluated, problem: Problem) -> Rule:
    value, limit = evaluated.calibration_error, problem.gate.calibration
    return _rule(
        "calibration", value, limit, value <= limit, f"probabilities are off by {value:.3f} on average, {limit:g} allowed"
    )


def _told(gain: Interval, problem: Problem) -> str:
    return f"{problem.success.metric} gain {gain.value:+.4f} [{gain.low:+.4f}, {gain.high:+.4f}]"
