"""Is a rate higher than allowed? A test that may be looked at after every single event.

Each look multiplies no error: under any rate up to the allowed one, the average likelihood ratio of higher rates is a
supermartingale that begins at 1, so it ever reaches 1 / level with chance at most `level` (Ville 1939; the mixture is Wald's
1945 sequential test, averaged over alternatives). What is counted may be added up over processes and looked at whenever.
"""

import math
from dataclasses import dataclass

TIMES = (1.5, 2.0, 4.0, 10.0, 30.0, 100.0)  # alternatives, in odds of the allowed rate: from slightly worse to broken


@dataclass(frozen=True)
class Rate:
    """How often something happened among so many."""

    count: int = 0
    total: int = 0

    @property
    def share(self) -> float:
        """0 where nothing was counted yet."""
        return self.count / self.total if self.total else 0.0

    def __add__(self, other: "Rate") -> "Rate":
        return Rate(self.count + other.count, self.total + other.total)


def against(seen: Rate, allowed: float) -> float:
    """Evidence that the rate is higher than allowed: at least 1 / level stops at that level, whenever it is looked at.

    Args:
        allowed: between 0 and 1, neither of them.
    """
    odds = allowed / (1 - allowed)
    logs = []
    for times in TIMES:
        rate = odds * times / (1 + odds * times)
        misses = seen.total - seen.count
        logs.append(seen.count * math.log(rate / allowed) + misses * math.log((1 - rate) / (1 - allowed)))
    largest = max(logs)
    return math.exp(min(largest, 700.0)) * sum(math.exp(one - largest) for one in logs) / len(logs)
