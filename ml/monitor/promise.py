"""A metric of answers against what the evaluation promised of it.

Rows of one day belong together, so intervals are over whole days, as in the evaluation. With too few days for that, the days'
own variation is taken from the evaluation: an interval over the rows of one stormy day would exclude any promise.
"""

import math

import numpy as np

from ml import metrics
from ml.metrics import Draws, Floats
from ml.monitor.answers import Labelled, Texts
from ml.monitor.finding import chance
from ml.problem import Problem
from ml.records import DriftFinding, Interval

PARTS = 4  # quality, slices, mean, slope: each may use up its part of the false alarms of concept drift


def level(problem: Problem) -> float:
    """How likely each part of concept drift may raise a false alarm on one day."""
    return problem.drift.level / PARTS


def drop(live: Interval, promised: Interval, name: str) -> tuple[float, float]:
    """How much worse than promised, and the one-sided p-value of being worse at all.

    Both are estimates, so both errors count (Welch 1947, Biometrika 34, 28-35): the promise rests on few days too.
    """
    worse = metrics.better(name) * (promised.value - live.value)
    errors = [(one.error or 0.0, one.freedom or math.inf) for one in (live, promised)]
    error = math.hypot(*(one for one, _ in errors))
    if math.isnan(error):
        return worse, 1.0
    freedom = error**4 / max(sum(one**4 / free for one, free in errors), 1e-300)
    found = Interval(value=worse, low=worse, high=worse, error=error, freedom=max(int(freedom), 1))
    return worse, metrics.doubt(found, 0.0)


def live(known: Labelled, promised: Interval | None, name: str, confidence: float) -> Interval:
    """A metric of answers with its interval over days; see the module's description for few days."""
    draws = Draws.over(known.days, len(known.labels))
    found = metrics.bootstrap(name, known.labels, known.scores, confidence=confidence, draws=draws)
    if draws.by == "days" or promised is None or promised.error is None or not promised.freedom or found.error is None:
        return found
    num_days = len(np.unique(known.days)) if known.days is not None else 1
    between = promised.error * math.sqrt((promised.freedom + 1) / max(num_days, 1))
    if promised.freedom >= len(known.labels) or not between > found.error:  # the promise was drawn over rows as well
        return found
    return around(found.value, between, promised.freedom, name, confidence)


def over_days(values: Floats, days: Texts | None, confidence: float) -> Interval:
    """Mean of a value per row, shape (n,), with its interval over days, or over rows where days are few."""
    draws = Draws.over(days, len(values))
    drawn = np.concatenate([weights.means(values) for weights in draws.weights()])
    return metrics.interval(float(values.mean()), drawn, draws.num_blocks, confidence=confidence)


def told(known: Labelled, found: Interval, promised: Interval, problem: Problem, judged: tuple[str, bool, float]) -> DriftFinding:
    """A finding; `judged` is its subject, whether it drifted, and its p-value."""
    name, (subject, drifted, p_value) = problem.success.metric, judged
    limit = promised.value - metrics.better(name) * problem.drift.quality_drop
    days = f" of {len(np.unique(known.days))} days" if known.days is not None else ""
    return DriftFinding(
        kind="concept",
        subject=subject,
        drifted=drifted,
        value=found.value,
        limit=limit,
        p_value=p_value,
        sentence=f"live {subject} {found.value:.3f} [{found.low:.3f}, {found.high:.3f}] on {len(known.labels)} labelled "
        f"answers{days}, promised {promised.value:.3f}, limit {limit:.3f}, {chance(p_value)}",
    )


def around(value: float, error: float, freedom: int, name: str, confidence: float) -> Interval:
    """Student's interval around a metric, cut off where the metric ends."""
    from scipy.special import stdtrit

    half = float(stdtrit(freedom, (1 + confidence) / 2)) * error
    low, high = metrics.bounds(name)
    return Interval(value=value, low=max(value - half, low), high=min(value + half, high), error=error, freedom=freedom)
