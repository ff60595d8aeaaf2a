"""Which rows are looked at, and of which days."""

from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt

MOST = 20_000  # rows of a sample: more decide nothing that these do not
SEED = 0  # the same rows give the same sample
INSTANT = timedelta(microseconds=1)


def span(moment: datetime, days: int) -> tuple[datetime, datetime]:
    """Half-open span of `days` that ends with, and holds, the moment: a replayed clock stands still while requests come."""
    return moment - timedelta(days=days) + INSTANT, moment + INSTANT


def choose(size: int, most: int = MOST) -> npt.NDArray[np.int64]:
    """Row numbers of a fixed-seed sample without replacement, sorted; all rows when there are at most `most`."""
    if size <= most:
        return np.arange(size)
    return np.sort(np.random.default_rng(SEED).choice(size, most, replace=False))
