"""Columns, labels and histories made on purpose, for the tests of the data report."""

import numpy as np
import pyarrow as pa

from ml.tables import ARROW_TYPES
from ml.understand.columns import Column
from ml.understand.history import UNKNOWN, History

DAY0 = 17_000  # days since 1970


def column(name, values, kind="number", **more):
    return Column(name, kind, pa.array(values, ARROW_TYPES[kind]), **more)


def halves(size, seed=0):
    return np.random.default_rng(seed).random(size) < 0.5


def labels_of(rates, seed=0):
    return (np.random.default_rng([seed, 7]).random(len(rates)) < rates).astype(float)


def history(rates, *, per_day=300, waits=(20.0, 20.0), until=None, seed=0):
    """Events of len(rates) days; labels come after a gamma distributed wait with these means for 0 and 1.

    Args:
        until: days from the first on which labels are looked at; None: all labels are in.
    """
    rng = np.random.default_rng(seed)
    day = np.repeat(np.arange(len(rates)), per_day)
    label = (rng.random(len(day)) < np.repeat(rates, per_day)).astype(np.int64)
    mean = np.where(label == 1, waits[1], waits[0])
    wait = np.floor(rng.gamma(4.0, mean / 4)).astype(np.int64)
    known = np.ones(len(day), bool) if until is None else day + wait <= until
    return History.of(DAY0 + day, np.where(known, label, UNKNOWN), np.where(known, wait, UNKNOWN))
