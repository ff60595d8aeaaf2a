"""How a rule is told."""

import math

from ml.problem import Problem
from ml.records import Interval, Rule


def rule(name: str, value: float | None, limit: float | None, holds: bool, sentence: str) -> Rule:
    """A rule whose value is not a number never holds."""
    known = value is None or not math.isnan(value)
    return Rule(rule=name, value=value if known else None, limit=limit, holds=holds and known, sentence=sentence)


def told(gain: Interval, problem: Problem) -> str:
    """A gain in a few words."""
    return f"{problem.success.metric} gain {gain.value:+.4f} [{gain.low:+.4f}, {gain.high:+.4f}]"
