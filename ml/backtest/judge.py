"""From what every policy answered to what it is worth: pure, no I/O, no clock."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ml import metrics
from ml.metrics import Draws, Floats
from ml.records import Interval
from ml.records.backtest import PolicyOutcome
from ml.window import Window

CONFIDENCE = 0.95
WEEK, FEWEST = 7, 5  # days of a piece, and how few pieces say too little, so that single days are taken
QUARTER = 0.25


def piece_days(span: Window, every: int) -> int:
    """A week, because the days of a week share their champion and their weather; single days of a short span."""
    return max(WEEK if span.days >= FEWEST * WEEK else 1, every)


def by_piece(metric: str, days: npt.NDArray[np.str_], labels: Floats, scores: Floats, pieces: Sequence[Window]) -> Floats:
    """The metric on every piece's rows, shape (pieces,); NaN where it is not defined there."""
    found = np.full(len(pieces), np.nan)
    for place, piece in enumerate(pieces):
        inside = (days >= str(piece.start)) & (days < str(piece.end))
        if inside.any():
            found[place] = metrics.metric(metric, labels[inside], scores[inside])
    return found


def mean(values: Floats) -> Interval:
    """Their mean, with the interval of a bootstrap over them; those that are not defined are left out."""
    held = values[~np.isnan(values)]
    draws = Draws.over(None, len(held))
    drawn = np.concatenate([weights.means(held) for weights in draws.weights()]) if len(held) else held
    return metrics.interval(float(held.mean()) if len(held) else float("nan"), drawn, len(held), confidence=CONFIDENCE)


def gain(metric: str, ours: Floats, theirs: Floats) -> Interval:
    """How much better one policy is than another, paired piece by piece; positive is better for every metric."""
    return mean(metrics.better(metric) * (ours - theirs))


def surely_worse(one: PolicyOutcome, other: PolicyOutcome, metric: str) -> bool:
    """Whether a policy is below another by more than chance explains."""
    high = gain(metric, _values(one), _values(other)).high
    return bool(high < 0)


def recommend(outcomes: Sequence[PolicyOutcome], metric: str) -> tuple[str, str]:
    """The cheapest policy that is not surely worse than the best one, and why, in words.

    Where nothing can be told apart that is the cheapest of all: what no difference was found for is not worth paying for.
    """
    sign = metrics.better(metric)
    best = max(outcomes, key=lambda one: sign * one.quality.value if not np.isnan(one.quality.value) else -np.inf)
    sound = [one for one in outcomes if one is best or not surely_worse(one, best, metric)]
    chosen = min(sound, key=lambda one: (one.minutes, one is not best))
    words = f"{chosen.policy}: live {metric} {_told(chosen.quality)} for {_minutes(chosen)} of training"
    if chosen is not best:
        words += f"; the best, {best.policy}, has {best.quality.value:.4f} for {_minutes(best)}, a difference within chance"
    worse = [one.policy for one in outcomes if one.minutes < chosen.minutes and one not in sound]
    words += f". Cheaper but surely worse: {', '.join(worse)}" if worse else ""
    return chosen.policy, words + "."


def goals(outcomes: Mapping[str, PolicyOutcome], policy: str) -> list[str]:
    """What a policy reaches beside training every night and never, in sentences."""
    ours, told = outcomes[policy], []
    if ours.over_nightly and "nightly" in outcomes:
        held = ours.over_nightly.low <= 0 <= ours.over_nightly.high or ours.over_nightly.value > 0
        share = ours.minutes / max(outcomes["nightly"].minutes, 1e-9)
        told.append(
            f"{policy} against nightly: {_gain(ours.over_nightly)}, {'no worse than chance allows' if held else 'worse'}, "
            f"for {share:.0%} of the training minutes (goal: at most {QUARTER:.0%})"
        )
    if ours.over_never and "never" in outcomes:
        sure = "surely better" if ours.over_never.low > 0 else "surely worse" if ours.over_never.high < 0 else "within chance"
        told.append(f"{policy} against never: {_gain(ours.over_never)}, {sure}")
    return told


def _values(outcome: PolicyOutcome) -> Floats:
    return np.asarray([np.nan if value is None else value for value in outcome.over_time], dtype=np.float64)


def _told(one: Interval) -> str:
    return f"{one.value:.4f} ({one.low:.4f} to {one.high:.4f})"


def _gain(one: Interval) -> str:
    return f"{one.value:+.4f} ({one.low:+.4f} to {one.high:+.4f})"


def _minutes(outcome: PolicyOutcome) -> str:
    return f"{outcome.minutes:.1f} minutes"


def plain(values: Floats) -> tuple[float | None, ...]:
    """NaN as None, which JSON knows."""
    held: list[Any] = [None if np.isnan(value) else round(float(value), 6) for value in values]
    return tuple(held)
