"""Rules about quality: floors, baselines, the champion on the same rows, slice by slice, and on the reference rows."""

from collections.abc import Iterator

from ml import metrics
from ml.gate.rule import rule, told
from ml.problem import Problem
from ml.records import Evaluated, Interval, Rule

UNCOMPARED = "champion on the same rows"


def rules(evaluated: Evaluated, problem: Problem, level: float) -> Iterator[Rule]:
    """Every rule about quality.

    Args:
        level: the largest chance with which an equal model may pass the test against the champion.
    """
    yield from _floors(evaluated, problem)
    yield from _baselines(evaluated, problem)
    yield _champion(evaluated, problem, level)
    yield from _slices(evaluated, problem)
    yield from _reference(evaluated, problem)
    yield from _fairness(evaluated, problem)


def _floors(evaluated: Evaluated, problem: Problem) -> Iterator[Rule]:
    """The whole interval must be on the right side of the floor, not only its middle."""
    for name, limit in problem.gate.floors.items():
        sign, interval = metrics.better(name), evaluated.candidate.metrics[name]
        worst = interval.low if sign > 0 else interval.high
        asked = "at least" if sign > 0 else "at most"
        sentence = f"{name} {interval.value:.4f} is at worst {worst:.4f}, {asked} {limit:g} is asked"
        yield rule(f"floor of {name}", worst, limit, sign * worst >= sign * limit, sentence)


def _baselines(evaluated: Evaluated, problem: Problem) -> Iterator[Rule]:
    limit = -problem.gate.baseline_margin
    for name in problem.success.must_beat:
        gain = evaluated.gains_over.get(name)
        if gain is None:
            yield rule(f"against baseline {name}", None, limit, False, f"there are no scores of the baseline {name}; train again")
            continue
        sentence = f"{told(gain, problem)} against the baseline {name}, more than {limit:+g} for sure is asked"
        yield rule(f"against baseline {name}", gain.low, limit, gain.low > limit, sentence)


def _champion(evaluated: Evaluated, problem: Problem, level: float) -> Rule:
    """A paired test on the same days. Gain: as sure as what is left of the year's budget asks. Non-inferiority, where the
    problem wants fresher models: not worse than the margin, with the problem's confidence, every night anew.
    """
    name, gate = "against the champion", problem.gate
    if evaluated.champion_version is None:
        return rule(name, None, None, True, "there is no champion yet")
    gain, margin = evaluated.gain_over_champion, gate.non_inferiority_margin
    if gain is None:
        return rule(UNCOMPARED, None, None, False, evaluated.champion_problem)
    if margin is None:
        worst, limit, sure = metrics.lower(gain, level), gate.minimum_gain, f"to {1 - level:.2%}"
    else:
        worst, limit, sure = gain.low, -margin, "for sure"
    again = f" (the {evaluated.uses}. model on these test rows)" if evaluated.uses > 1 else ""
    against = f"against champion {evaluated.champion_version} on the same rows{again}"
    sentence = f"{told(gain, problem)} {against}, {sure} it is above {worst:+.4f}, more than {limit:+g} is asked"
    return rule(name, worst, limit, worst > limit, sentence)


def _slices(evaluated: Evaluated, problem: Problem) -> Iterator[Rule]:
    """A slice breaks the rule when it lost more than the margin and the loss is no chance, all slices taken together (Holm 1979).

    Of forty small slices one always looks bad; so the chance that any slice that lost nothing is called worse stays below
    1 - confidence.
    """
    limit, allowed = -problem.gate.slice_margin, 1 - problem.gate.confidence
    chances = _corrected(evaluated.slice_gains)
    for name, gain in evaluated.slice_gains.items():
        lost = gain.value < limit
        chance = f"; by chance with probability {chances[name]:.2g} among {len(chances)} slices" if lost else ""
        sentence = f"{told(gain, problem)} where {name}, a loss of {-limit:g} is allowed{chance}"
        yield rule(f"slice {name}", gain.value, limit, not (lost and chances[name] < allowed), sentence)


def _corrected(gains: dict[str, Interval]) -> dict[str, float]:
    """Per slice the chance of a gain so low where nothing was lost, corrected for the number of slices."""
    chances = {name: metrics.doubt(gain, 0.0, above=False) for name, gain in gains.items()}
    corrected, largest = {}, 0.0
    for place, name in enumerate(sorted(chances, key=lambda name: chances[name])):
        largest = max(largest, min((len(chances) - place) * chances[name], 1.0))
        corrected[name] = largest
    return corrected


def _reference(evaluated: Evaluated, problem: Problem) -> Iterator[Rule]:
    """Rows of an older time: the candidate may have moved on, but must not have unlearned what the champion knows."""
    found, limit = evaluated.reference, -problem.gate.reference_margin
    if found is None or evaluated.champion_version is None:
        return
    name, rows = "reference rows", f"the {found.num_rows:,} reference rows of {found.first} to {found.last}"
    gain = found.gain_over_champion
    if gain is None:
        yield rule(name, None, limit, True, f"not compared on {rows}: {found.champion_problem}")
        return
    sentence = f"{told(gain, problem)} over the champion on {rows}, not below {limit:+g} for sure is asked"
    yield rule(name, gain.high, limit, gain.high >= limit, sentence)


def _fairness(evaluated: Evaluated, problem: Problem) -> Iterator[Rule]:
    limit, allowed = problem.gate.fairness_gap, 1 - problem.gate.confidence
    for found in evaluated.gaps:
        chance = metrics.doubt(found.gap, limit)
        holds = found.gap.value <= limit or chance >= allowed
        sentence = f"{found.measure}: {found.gap.value:.3f} apart between {found.best} and {found.worst}, {limit:g} allowed"
        yield rule(f"fairness of {found.column}", found.gap.value, limit, holds, sentence)
