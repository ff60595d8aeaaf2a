"""Estimates with intervals, several models under the same draws; what one may conclude from them.

Intervals are value ± t · bootstrap standard error, with as many degrees of freedom as there are independent blocks less one
(Efron and Tibshirani 1993, section 12.4), and the error is widened by sqrt(b / (b - 1)), because b drawn blocks vary less than
b new ones would (Hesterberg 2015). The same error and degrees answer any other level too, such as the small one of a night,
which quantiles of a thousand draws could not.
"""

from collections.abc import Iterable, Mapping

import numpy as np

from ml.metrics.draws import Draws, Floats
from ml.metrics.quality import better, bounds, find, metric
from ml.records import Interval

NORMAL, LARGE = 1.959964, 1e9  # half width of a 95 % interval in standard errors, and degrees of freedom that make it so
LEAST_DEFINED = 0.5  # share of draws in which a metric must be defined to have an interval


class Comparison:
    """Models on the same rows under the same draws."""

    def __init__(
        self, names: Iterable[str], labels: Floats, scores: Mapping[str, Floats], draws: Draws, *, confidence: float
    ) -> None:
        """Compute metrics of models.

        Args:
            names: of the metrics.
            labels: shape (n,) or (n, k).
            scores: per model, shape of the labels.
        """
        self._draws, self._confidence = draws, confidence
        wanted = [(model, name) for model in scores for name in names]
        self._values = {(model, name): metric(name, labels, scores[model]) for model, name in wanted}
        parts: dict[tuple[str, str], list[Floats]] = {one: [] for one in wanted}
        for weights in draws.weights():
            for model, name in wanted:
                parts[model, name].append(find(name)(labels, scores[model], weights))
        self._drawn = {one: np.concatenate(values) for one, values in parts.items()}

    def value(self, model: str, name: str) -> Interval:
        """A metric of a model."""
        low, high = bounds(name)
        found = self._interval(self._values[model, name], self._drawn[model, name])
        return found.model_copy(update={"low": max(found.low, low), "high": min(found.high, high)})

    def gain(self, name: str, ours: str, theirs: str) -> Interval:
        """How much better one model is than another; positive is better for every metric."""
        drawn = self._drawn[ours, name] - self._drawn[theirs, name]
        value = self._values[ours, name] - self._values[theirs, name]
        return self._interval(better(name) * value, better(name) * drawn)

    def _interval(self, value: float, drawn: Floats) -> Interval:
        return interval(value, drawn, self._draws.num_blocks, confidence=self._confidence)


def bootstrap(name: str, labels: Floats, scores: Floats, *, confidence: float, draws: Draws | None = None) -> Interval:
    """A metric of one model with its interval; without `draws` over single rows."""
    draws = draws or Draws.over(None, len(labels))
    return Comparison([name], labels, {"": scores}, draws, confidence=confidence).value("", name)


def paired_gain(
    name: str, labels: Floats, ours: Floats, theirs: Floats, *, confidence: float, draws: Draws | None = None
) -> Interval:
    """How much better `ours` is than `theirs` on the same rows; positive is better for every metric.

    Both are scored under the same draws, so what they share cancels: the interval is far narrower than the
    difference of two separate ones. Without `draws` over single rows.
    """
    models, draws = {"ours": ours, "theirs": theirs}, draws or Draws.over(None, len(labels))
    return Comparison([name], labels, models, draws, confidence=confidence).gain(name, "ours", "theirs")


def interval(value: float, drawn: Floats, num_blocks: int, *, confidence: float) -> Interval:
    """An estimate and its draws as an interval; NaN where too few draws are defined or there is one block only."""
    from scipy.special import stdtrit

    defined, freedom = drawn[~np.isnan(drawn)], num_blocks - 1
    if len(defined) < LEAST_DEFINED * len(drawn) or freedom < 1 or np.isnan(value):
        return Interval(value=value, low=float("nan"), high=float("nan"), error=float("nan"), freedom=max(freedom, 0))
    error = float(defined.std(ddof=1) * np.sqrt(num_blocks / freedom))
    half = float(stdtrit(freedom, (1 + confidence) / 2)) * error
    return Interval(value=value, low=value - half, high=value + half, error=error, freedom=freedom)


def doubt(found: Interval, limit: float, *, above: bool = True) -> float:
    """How likely an estimate as high as this is when the truth is at the limit or below: a one-sided p-value.

    Args:
        above: False: how likely one as low as this is when the truth is at the limit or above.
    Returns: between 0 and 1; 1 where nothing is known.
    """
    from scipy.special import stdtr

    error, freedom = _error(found)
    beyond = (found.value - limit) * (1 if above else -1)
    if np.isnan(found.value) or np.isnan(error):
        return 1.0
    if error == 0:
        return 0.0 if beyond > 0 else 1.0
    return float(stdtr(freedom, -beyond / error))


def lower(found: Interval, level: float) -> float:
    """The value that the truth exceeds but for a chance of `level`: the limit at which `doubt` is `level`."""
    from scipy.special import stdtrit

    error, freedom = _error(found)
    if not level > 0:
        return float("-inf")
    return found.value if error == 0 else found.value - float(stdtrit(freedom, 1 - level)) * error


def _error(found: Interval) -> tuple[float, float]:
    """Standard error and degrees of freedom; of an interval of earlier versions, which had 95 % unless said otherwise."""
    if found.error is None or found.freedom is None:
        return (found.high - found.low) / (2 * NORMAL), LARGE
    return found.error, found.freedom
