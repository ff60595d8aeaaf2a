"""Which of two versions decides better? A sequential test that may be looked at any time, and never claims too much.

Outcomes of the two are paired in the order in which they became known; where one version answers less, each of its outcomes
is paired with the mean of several of the other. If both cost the same on average, a bet on the next difference is fair: the
wealth of who bets a share of it is a martingale that begins at 1, and reaches 1 / level with chance at most `level`, exactly
and for every bounded outcome (Waudby-Smith and Ramdas 2024, Journal of the Royal Statistical Society B 86, 1-27; the share
is their aGRAPA). No distribution is assumed, and labels that come late only come later.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
BOLDEST = 0.5  # of the wealth on one difference, so that none can ruin it
PRIOR_VARIANCE, PRIOR_WEIGHT = 0.25, 1.0  # of differences in units of the bound, before there are any


@dataclass(frozen=True)
class Comparison:
    """What is known so far. `better` and `worse` say whether the challenger was ever plainly so; at most one is first."""

    num_pairs: int
    difference: float
    better_evidence: float
    worse_evidence: float
    better: bool
    worse: bool

    @property
    def sentence(self) -> str:
        """In words."""
        told = f"{self.num_pairs:,} outcomes of each: a decision of the challenger costs {self.difference:+.4f}"
        plain = "plainly better" if self.better else "plainly worse" if self.worse else "no plain difference"
        return f"{told}; {plain}"


def paired(champion: Floats, challenger: Floats, share: float) -> Floats:
    """Differences challenger minus champion, shape (n,), in the order given; outcomes without a partner wait.

    Args:
        champion: outcomes in the order in which they became known, shape (a,).
        challenger: likewise, shape (b,).
        share: of entities that meet the challenger, above 0 and below 1.
    """
    several, other = max(1, round((1 - share) / share)), max(1, round(share / (1 - share)))
    num = min(len(champion) // several, len(challenger) // other)
    means = (
        outcomes[: num * size].reshape(num, size).mean(axis=1) for outcomes, size in ((challenger, other), (champion, several))
    )
    return np.asarray(next(means) - next(means), np.float64)


def compare(differences: Floats, bound: float, *, level: float, margin: float = 0.0) -> Comparison:
    """Test differences one after the other.

    Args:
        differences: challenger minus champion, each between -bound and bound, in the order in which they became known.
        level: chance, at most, that either of two equal versions is ever called better; half of it for each side.
        margin: the challenger is called worse only when it costs more than this.
    """
    better, worse = _wealth(-differences, bound, 0.0), _wealth(differences, bound, margin)
    enough = np.log(2 / level)
    won, lost = _first(better >= enough), _first(worse >= enough)
    return Comparison(
        num_pairs=len(differences),
        difference=float(differences.mean()) if len(differences) else 0.0,
        better_evidence=_last(better),
        worse_evidence=_last(worse),
        better=won < lost,
        worse=lost < won,
    )


def _wealth(gains: Floats, bound: float, margin: float) -> Floats:
    """Logarithm of the wealth after each bet that the mean is above `margin`, shape (n,).

    Each stake is set by the gains before it alone: mean / (variance + mean^2), kept between 0 and BOLDEST.
    """
    units = (gains - margin) / (bound + margin)  # at least -1
    number = np.arange(len(units))
    before = np.concatenate([[0.0], np.cumsum(units)[:-1]]) if len(units) else units
    squares = np.concatenate([[0.0], np.cumsum(units**2)[:-1]]) if len(units) else units
    mean = before / (number + PRIOR_WEIGHT)
    second = (squares + PRIOR_VARIANCE * PRIOR_WEIGHT) / (number + PRIOR_WEIGHT)
    stakes = np.clip(mean / np.maximum(second, 1e-12), 0.0, BOLDEST)
    return np.asarray(np.cumsum(np.log1p(stakes * units)), np.float64)


def _first(holds: npt.NDArray[np.bool_]) -> float:
    """Place of the first that holds; infinite when none does."""
    return float(np.argmax(holds)) if holds.any() else np.inf


def _last(wealth: Floats) -> float:
    return float(np.exp(min(wealth[-1], 700.0))) if len(wealth) else 1.0
