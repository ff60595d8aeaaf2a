"""All rows counted by event day, label and days until the label was known: small however many rows there are."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ml.understand.columns import Floats, Ints

UNKNOWN = -1  # of a label; of a delay: the label has no time
LONGEST = 4000  # days; a longer delay counts as this


@dataclass(frozen=True)
class History:
    """`rows` rows for each `day` (days since 1970, local), `label` (0, 1, UNKNOWN) and `delay` (days); shapes (k,)."""

    day: Ints
    label: Ints
    delay: Ints
    rows: Ints

    @classmethod
    def of(cls, day: Ints, label: Ints, delay: Ints) -> "History":
        """Count rows given one by one; a label that came before its event counts as delay 0."""
        kept = np.where(label == UNKNOWN, UNKNOWN, np.where(delay < UNKNOWN, 0, np.minimum(delay, LONGEST)))
        return merge([cls(day, label, kept, np.ones(len(day), np.int64))])

    @property
    def num_rows(self) -> int:
        """Rows in all."""
        return int(self.rows.sum())

    @property
    def known(self) -> Ints:
        """Places with a label."""
        return np.flatnonzero(self.label != UNKNOWN)

    def daily(self) -> "Daily":
        """Counts per calendar day from the first day to the last, days without rows included."""
        if len(self.day) == 0:
            return Daily(0, *(np.zeros(0, np.int64) for _ in range(3)))
        first = int(self.day.min())
        size = int(self.day.max()) - first + 1
        place, labelled = self.day - first, self.label != UNKNOWN
        return Daily(
            first,
            _sum(place, self.rows, size),
            _sum(place[labelled], self.rows[labelled], size),
            _sum(place[self.label == 1], self.rows[self.label == 1], size),
        )

    def before(self, day: int) -> "History":
        """Rows of earlier days only."""
        kept = self.day < day
        return History(self.day[kept], self.label[kept], self.delay[kept], self.rows[kept])


@dataclass(frozen=True)
class Daily:
    """Per day from `first` on: all rows, those with a label, the positive ones; shapes (days,)."""

    first: int
    rows: Ints
    labelled: Ints
    positive: Ints

    def grouped(self, starts: Ints) -> "Daily":
        """The counts of groups of days; `starts` are the groups' first places."""
        if len(starts) == 0:
            return self
        return Daily(self.first, *(np.add.reduceat(one, starts) for one in (self.rows, self.labelled, self.positive)))

    @property
    def rate(self) -> Floats:
        """Positive share of the labelled rows, NaN without any."""
        with np.errstate(invalid="ignore"):
            return self.positive / np.where(self.labelled == 0, np.nan, self.labelled)


def merge(parts: Iterable[History]) -> History:
    """One history of several."""
    held = list(parts)
    day, label, delay, rows = (
        np.concatenate([getattr(one, name) for one in held] or [np.zeros(0)]).astype(np.int64)
        for name in ("day", "label", "delay", "rows")
    )
    if len(day) == 0:
        return History(day, label, delay, rows)
    order = np.lexsort((delay, label, day))
    day, label, delay, rows = day[order], label[order], delay[order], rows[order]
    starts = np.flatnonzero(np.r_[True, (np.diff(day) != 0) | (np.diff(label) != 0) | (np.diff(delay) != 0)])
    return History(day[starts], label[starts], delay[starts], np.add.reduceat(rows, starts))


def date_of(day: int) -> str:
    """`2017-03-31` of days since 1970."""
    return str(np.datetime64(int(day), "D"))


def month_starts(first: int, size: int) -> Ints:
    """Places of the days, counted from `first`, on which a month begins, and place 0."""
    months = (np.arange(size) + first).astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)
    return np.flatnonzero(np.r_[True, np.diff(months) != 0]).astype(np.int64)


def _sum(place: Ints, rows: Ints, size: int) -> Ints:
    return np.bincount(place, weights=rows, minlength=size).astype(np.int64)
