"""Quality of scores against labels, with bootstrap intervals over whole days; paired where models met the same rows."""

from ml.metrics.decisions import (
    calibration_bins,
    calibration_error,
    calibration_slope,
    cheapest_threshold,
    confusion,
    cost_curve,
    cost_of,
    counts,
    decide,
)
from ml.metrics.draws import FEWEST_DAYS, REPETITIONS, Draws, Floats, Resampled, Weights
from ml.metrics.intervals import Comparison, bootstrap, doubt, interval, lower, paired_gain
from ml.metrics.quality import METRICS, better, bounds, metric

__all__ = [
    "FEWEST_DAYS", "METRICS", "REPETITIONS", "Comparison", "Draws", "Floats", "Resampled", "Weights",
    "better", "bootstrap", "bounds", "calibration_bins", "calibration_error", "calibration_slope", "cheapest_threshold",
    "confusion", "cost_curve", "cost_of", "counts", "decide", "doubt", "interval", "lower", "metric", "paired_gain",
]  # fmt: skip
