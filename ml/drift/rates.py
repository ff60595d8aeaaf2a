"""Do predicted and observed means agree?"""

import math

from ml.drift.cells import Floats


def rate_gap(scores: Floats, labels: Floats) -> tuple[float, float]:
    """Calibration in the large: do the scores promise as many positives as there were?

    A z-test of the mean of score minus label; its standard error comes from the same differences, so nothing is
    assumed about single rows. Rows of one day move together, which makes the p-value too small: it never decides alone.

    Args:
        scores: shape (n,), n >= 1, probabilities.
        labels: shape (n,), 0 or 1.
    Returns: the mean score minus the observed rate, in probability, and the two-sided p-value.
    """
    differences = scores - labels
    gap = float(differences.mean())
    error = float(differences.std()) / math.sqrt(len(differences))
    if error == 0:
        return gap, 1.0 if gap == 0 else 0.0
    return gap, math.erfc(abs(gap / error) / math.sqrt(2))
