"""Which days of the reference are like a day: the same weekday, and the same season where history holds it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt

from ml.drift import Days

WEEK, YEAR, SEASON = 7, 365.2425, 30  # days; the last one to either side
FEWEST = 6  # days, or windows, that are enough to compare with

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Like:
    """Rows of the reference that lie on such days, and what they are called."""

    name: str
    chosen: Mask


def like_days(days: Days | None, day: date | None, window_days: int) -> Like | None:
    """The narrowest choice that holds enough days; None where none does, or where it would be all days.

    Args:
        days: of the rows of the reference, shape (n,).
        day: the last one of the window that is judged.
        window_days: windows of several days hold several weekdays, so there only the season counts.
    """
    if days is None or day is None or len(days) == 0:
        return None
    for name, chosen in _choices(days, day, window_days):
        if not chosen.all() and len(np.unique(days[chosen])) >= FEWEST * window_days:
            return Like(name, chosen)
    return None


def _choices(days: Days, day: date, window_days: int) -> Iterator[tuple[str, Mask]]:
    weekday, season = _weekday(days, day), _season(days, day)
    whole_year = (days.max() - days.min()).astype(int) >= YEAR - 2 * SEASON
    if window_days == 1 and whole_year:
        yield f"{day:%A}s of the season", weekday & season
    if window_days == 1:
        yield f"{day:%A}s", weekday
    if whole_year:
        yield "the season", season


def _weekday(days: Days, day: date) -> Mask:
    return np.asarray((days - np.datetime64(day)).astype(int) % WEEK == 0)


def _season(days: Days, day: date) -> Mask:
    apart = np.abs((days - np.datetime64(day)).astype(int)) % YEAR
    return np.asarray(np.minimum(apart, YEAR - apart) <= SEASON)
