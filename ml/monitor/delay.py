"""How long labels take: which answers are old enough to be judged, and whether labels come later than they used to.

Labels of young answers are missing not at random: those that came first may be those of the short trips, or the angry. So an
answer counts once nearly all labels of its age are there, by the observed distribution of delays. An answer that still waits
says only that its delay is longer than its age, which is what the Kaplan-Meier estimate is for (Kaplan and Meier 1958, Journal
of the American Statistical Association 53, 457-481).
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ml.metrics import FEWEST_DAYS
from ml.monitor.finding import chance, unknown
from ml.problem import Drift
from ml.records import DriftFinding

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
SUBJECT = "label delay"
ENOUGH = 0.95  # share of the labels that ever come which make an age old enough
FEWEST = 20  # answers that a day needs to have a share of its own
DAY = 24.0


@dataclass(frozen=True)
class Waits:
    """One entry per key that was answered, whatever the version: shapes (n,)."""

    ages: Floats  # hours since the answer
    delays: Floats  # hours from the answer to its label; NaN while it waits
    days: npt.NDArray[Any]  # the day of the answer, as text

    @property
    def labelled(self) -> Bools:
        """Which have their label."""
        return ~np.isnan(self.delays)


@dataclass(frozen=True)
class Arrival:
    """Share of answers that have their label by age: a step function, `hours` ascending; shares end where nothing more came."""

    hours: Floats
    shares: Floats

    def age(self, part: float) -> float:
        """Hours after which this part of all labels that ever come is there; 0 where none came."""
        if len(self.hours) == 0:
            return 0.0
        return float(self.hours[np.searchsorted(self.shares, part * self.shares[-1] - 1e-9)])

    def share(self, hours: float) -> float:
        """Share of answers with a label at an age."""
        place = int(np.searchsorted(self.hours, hours, side="right"))
        return float(self.shares[place - 1]) if place else 0.0


def arrival(waits: Waits) -> Arrival:
    """Kaplan-Meier estimate from labels that came and answers that wait."""
    from scipy.stats import CensoredData, ecdf

    came = waits.labelled
    if not came.any():
        return Arrival(np.zeros(0), np.zeros(0))
    curve = ecdf(CensoredData(uncensored=waits.delays[came], right=waits.ages[~came])).cdf
    stepped = np.diff(curve.probabilities, prepend=0.0) > 0
    return Arrival(curve.quantiles[stepped], curve.probabilities[stepped])


def old_enough(waits: Waits, came: Arrival) -> tuple[float, frozenset[str]]:
    """From which age in hours on answers count, and the days of younger ones that have their labels already."""
    names, places = np.unique(waits.days, return_inverse=True)
    number = np.bincount(places, minlength=len(names))
    share = np.bincount(places, waits.labelled, minlength=len(names)) / np.maximum(number, 1)
    whole = share >= ENOUGH * (came.shares[-1] if len(came.shares) else math.inf)
    return came.age(ENOUGH), frozenset(names[whole].tolist())


def of_delay(waits: Waits, policy: Drift) -> DriftFinding:
    """Whether fewer labels than usual were there at the ages at which half, and nearly all, of them used to be.

    The newest `window_days` that are old enough stand against those more than `label_days` older, with the days' own variation:
    labels of one day come together.
    """
    if waits.labelled.sum() < policy.minimum_rows:
        why = f"{waits.labelled.sum()} labels have come, fewer than [drift] minimum_rows = {policy.minimum_rows}"
        return unknown("schema", SUBJECT, why)
    usual = arrival(_older(waits, policy))
    looks = [look for part in (0.5, ENOUGH) if (look := _late(waits, usual.age(part), policy)) is not None]
    if not looks:
        return unknown("schema", SUBJECT, f"fewer than {FEWEST_DAYS + policy.window_days} days of answers are old enough")
    hours, now, before, p_value = min(looks, key=lambda look: (look[3], look[1] - look[2]))
    p_value = min(1.0, len(looks) * p_value)
    gap = before - now
    return DriftFinding(
        kind="schema",
        subject=SUBJECT,
        drifted=gap >= policy.late_labels and p_value < policy.level / 2,
        value=gap,
        limit=policy.late_labels,
        p_value=p_value,
        sentence=f"{now:.0%} of the newest answers had their label after {hours:.0f} hours, {before:.0%} of those before: gap "
        f"{gap:+.2f}, limit {policy.late_labels:g}, {chance(p_value)}",
    )


def _older(waits: Waits, policy: Drift) -> Waits:
    """Without the newest days that have labels: what is usual must not be learned from what is to be judged."""
    days = sorted(set(waits.days[waits.labelled].tolist()))
    kept = waits.days < days[-min(_aside(len(days), policy), len(days))]
    return Waits(waits.ages[kept], waits.delays[kept], waits.days[kept])


def _aside(num_days: int, policy: Drift) -> int:
    """Newest days that say nothing of what is usual: `label_days` where others remain, or a late week becomes the usual one."""
    return max(policy.window_days, min(policy.label_days, num_days - FEWEST_DAYS))


def _late(waits: Waits, hours: float, policy: Drift) -> tuple[float, float, float, float] | None:
    """Age, share labelled by it on the newest days and on those before, and a one-sided p-value; None with too few days."""
    from scipy.special import stdtr

    names, places = np.unique(waits.days, return_inverse=True)
    number, youngest = np.bincount(places), np.full(len(names), np.inf)
    np.minimum.at(youngest, places, waits.ages)
    ready = (youngest >= hours) & (number >= FEWEST)
    share = (np.bincount(places, waits.delays <= hours, minlength=len(names)) / number)[ready]
    if hours == 0 or len(share) < FEWEST_DAYS + policy.window_days:
        return None
    before, now = share[: -_aside(len(share), policy)], share[-policy.window_days :]
    mean = float(before.mean())
    chance_of_rows = mean * (1 - mean) / number[ready].mean() + 1e-6
    spread = math.sqrt(max(float(before.var(ddof=1)), chance_of_rows))
    error = spread * math.sqrt(1 / len(now) + 1 / len(before))
    return hours, float(now.mean()), mean, float(stdtr(len(before) - 1, (float(now.mean()) - mean) / error))
