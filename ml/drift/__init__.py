"""Have the values moved, and by how much? Two samples are counted in the same cells and the counts are compared.

Two numbers answer two questions, and only both together call a column drifted: the Jensen-Shannon distance says how
large the shift is, the p-value whether chance explains it. Alone, a distance cries wolf on a few hundred rows (it is
biased upwards) and a p-value on many thousands (every hair's breadth is significant). What chance is worth is learned
from the reference's own days: they differ more than independent rows do.

Evidently measures the same distance for the report; the decision does not rest on its methods, because they drop
missing values first, cut numbers into bins of equal width (one outlier empties all others), fail on a column without
values, and switch method with the number of rows. A test holds both against each other on the same cells.
"""

from ml.drift.cells import EXPECTED, MISSING, RARE, UNSEEN, Cells, Floats, Ints, cells, number_cells, unseen
from ml.drift.days import INDEPENDENT, Days, Usual, by_day, chi_square, smallest, usual
from ml.drift.rates import rate_gap
from ml.drift.shift import Shift, distance, p_value, shift

__all__ = [
    "EXPECTED", "INDEPENDENT", "MISSING", "RARE", "UNSEEN", "Cells", "Days", "Floats", "Ints", "Shift", "Usual",
    "by_day", "cells", "chi_square", "distance", "number_cells", "p_value", "rate_gap", "shift", "smallest", "unseen", "usual",
]  # fmt: skip
