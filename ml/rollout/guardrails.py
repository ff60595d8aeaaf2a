"""What a challenger may not do, judged from counts: pure, and calm however often it is asked."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from ml import drift
from ml.problem import Guardrails
from ml.rollout.rates import Rate, against

Floats = npt.NDArray[np.float64]
FEWEST = 30  # requests before anything but errors is judged
FEWEST_SCORES = 200  # of each version before their distributions are compared
SLOW = 0.01  # of requests may be slower than a p99


@dataclass
class Counts:
    """What was seen of a challenger. `slow` counts requests beyond the latency limit of the moment they were answered in."""

    errors: Rate = field(default_factory=Rate)
    slow: Rate = field(default_factory=Rate)
    flips: Rate = field(default_factory=Rate)


@dataclass(frozen=True)
class Rail:
    """One guardrail: what was seen, what is allowed, whether it holds; None: too few requests to say."""

    rule: str
    value: float
    limit: float
    holds: bool | None
    sentence: str


def rates(counts: Counts, rails: Guardrails) -> list[Rail]:
    """The guardrails that count how often something happened."""
    errors, flips = counts.errors, counts.flips
    return [
        _rail("errors", errors, rails.errors, rails.false_alarms, f"it could not answer {_of(errors)} that the other could", 1),
        _rail("latency", counts.slow, SLOW, rails.false_alarms, f"{_of(counts.slow)} were slower than {_limit(rails)}", FEWEST),
        _rail("flips", flips, rails.flips, rails.false_alarms, f"it decided {_of(flips)} otherwise than the other", FEWEST),
    ]


def distribution(champion: Floats, challenger: Floats, rails: Guardrails, *, look: int) -> Rail:
    """Whether the scores of both on the same traffic lie apart.

    Args:
        champion: scores of the version before, shape (a,).
        challenger: shape (b,).
        look: how many times this was asked before; the level is spent as level / ((look + 1) (look + 2)), level in all.
    """
    found = drift.shift(drift.number_cells(champion, challenger))
    apart = found.exceeds(rails.distribution, rails.false_alarms / ((look + 1) * (look + 2)))
    told = f"its scores lie {found.distance:.2f} from the other's (0: alike, 1: apart), {rails.distribution:g} is allowed"
    return Rail("distribution", found.distance, rails.distribution, not apart, told)


def latency_limit_s(champion: Floats, rails: Guardrails) -> float:
    """Beyond this a request of the challenger counts as slow, seconds: the other version's p99, as the rails widen it.

    Args:
        champion: its latest scoring times in seconds, shape (n,).
    """
    p99 = float(np.quantile(champion, 1 - SLOW))
    return float(max(p99 * rails.latency, p99 + rails.latency_ms / 1000))


def _rail(rule: str, seen: Rate, allowed: float, level: float, told: str, fewest: int) -> Rail:
    holds = None if seen.total < fewest else against(seen, allowed) < 1 / level
    return Rail(rule, seen.share, allowed, holds, f"{told}, {allowed:.1%} is allowed")


def _limit(rails: Guardrails) -> str:
    return f"{rails.latency:g} times the other's p99 and {rails.latency_ms:g} ms more than it"


def _of(seen: Rate) -> str:
    return f"{seen.count:,} of {seen.total:,} requests"
