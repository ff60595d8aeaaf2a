"""The decision: every rule with its value, its limit and a sentence."""

from datetime import date

from ml.gate import comparison, rehearsal, spending, trust
from ml.problem import Problem
from ml.records import Evaluated, Rehearsed, Verdict


def decide(
    evaluated: Evaluated,
    problem: Problem,
    *,
    today: date,
    rehearsed: Rehearsed | None = None,
    dry_run: bool = False,
    level: float | None = None,
) -> Verdict:
    """Judge every rule; one that cannot be computed does not hold.

    Args:
        rehearsed: None: this run has no rehearsal, so only a limit that was set for one breaks.
        level: of the test against the champion, from what is left of the year's budget; None: that of a first look.
    Returns: promote when all rules hold; not assessable when there are too few rows or something needed was not measured or
        compared; else reject.
    """
    if level is None:
        level = spending.level((), today, per_year=problem.gate.lucky_promotions_per_year)
    tonight = level / evaluated.uses
    rules = (
        *trust.rules(evaluated, problem, today),
        *comparison.rules(evaluated, problem, tonight),
        *trust.size(evaluated, problem),
        *rehearsal.rules(rehearsed, problem),
    )
    broken = {rule.rule for rule in rules if not rule.holds}
    decision = "promote" if not broken else "not assessable" if broken & trust.UNASSESSABLE else "reject"
    spends = evaluated.gain_over_champion is not None and problem.gate.non_inferiority_margin is None and not dry_run
    return Verdict(
        decision=decision,
        rules=rules,
        champion_version=evaluated.champion_version,
        dry_run=dry_run,
        spent=tonight if spends else 0.0,
    )
