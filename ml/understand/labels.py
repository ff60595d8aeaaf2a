"""How late labels come, which days are not complete yet, and whether a rate that falls has moved or only waits.

Two traps are told apart from a rate that really moved. Where slow answers come with another label than quick ones, the
newest rows show a wrong rate: they are compared with older rows as these looked at the same age. Where answers stopped
being collected, rows that would have become positive stay negative for ever: the rate then falls step by step up to the
last day, within the time that a label takes.
"""

from dataclasses import dataclass

import numpy as np

from ml.understand.columns import Floats, Ints
from ml.understand.history import Daily, History

COMPLETE, OVERDUE = 0.95, 0.25  # of the usual share with a label
LATE = 0.98  # quantile of the delay after which labels count as in
FEWEST = 200  # labelled rows that a rate is compared on
GAP = 0.1  # relative difference between two rates that matters
SURE = 4.0  # standard errors
WEEK = 7
CUT_PERIODS, FEWEST_BASE, MOST_BASE = 3, 8, 26  # periods: shortest move; fewest and most that it is compared with


@dataclass(frozen=True)
class Delay:
    """Days from the event to its label, at the median and at LATE of each class; `usual`: share of old rows with a label."""

    median: float
    negative: float
    positive: float
    same: float
    usual: float

    @property
    def days(self) -> int:
        """Age at which labels count as in."""
        return int(np.ceil(max(self.negative, self.positive, 0.0)))


@dataclass(frozen=True)
class Ages:
    """Rates at equal label ages: of the newest rows, of older ones when they were as young, and of older ones at last."""

    newest: float
    as_young: float
    at_last: float
    error: float
    num_labelled: int
    first: int

    @property
    def biased(self) -> bool:
        """Whether early labels say something else than all labels."""
        return abs(self.as_young - self.at_last) >= GAP * max(self.at_last, 1e-9)

    @property
    def moved(self) -> bool:
        """Whether the newest rows differ from older ones at the same age."""
        gap = abs(self.newest - self.as_young)
        return gap >= GAP * max(self.as_young, 1e-9) and gap > SURE * self.error


@dataclass(frozen=True)
class Move:
    """A rate that left its level and stayed off it up to the last day. `cut`: it falls step by step to the very end."""

    first: int
    last: int
    before: float
    newest: float
    cut: bool


@dataclass(frozen=True)
class Facts:
    """What is known about the labels of a history; `first_incomplete` is a place in `daily`, its length when all are in."""

    daily: Daily
    until: int
    delay: Delay | None
    first_incomplete: int
    ages: Ages | None
    move: Move | None


def facts(history: History, until: int) -> Facts:
    """Look at all of it.

    Args:
        until: the day up to which labels are known, days since 1970.
    """
    daily, wait = history.daily(), delay(history)
    usual = wait.usual if wait else (daily.labelled.sum() / max(daily.rows.sum(), 1))
    young = until + 1 - (wait.days if wait else 0) - daily.first
    first = incomplete(daily, usual, young)
    ages = equal_ages(history, until, wait.days) if wait and wait.days > 0 else None
    settled = min(first, max(young, 0)) if ages and ages.biased else first  # where early labels mislead, only old days count
    complete = Daily(daily.first, daily.rows[:settled], daily.labelled[:settled], daily.positive[:settled])
    return Facts(daily, until, wait, first, ages, move(complete, wait.days if wait else 0))


def delay(history: History) -> Delay | None:
    """How long labels take, from the older half of the days, whose slow labels are in; None without labels or times."""
    places = history.known
    places = places[history.delay[places] >= 0]
    if len(places) == 0:
        return None
    days = np.repeat(history.day[places], history.rows[places])
    older = history.day[places] <= np.median(days)
    chosen = places[older]
    waits, labels, rows = history.delay[chosen], history.label[chosen], history.rows[chosen]
    middle = _quantile(waits, rows, 0.5)
    late = [_quantile(waits[labels == value], rows[labels == value], LATE) for value in (0, 1)]
    usual = _usual(history, max(late))
    return Delay(middle, late[0], late[1], float(rows[waits == middle].sum() / rows.sum()), usual)


def incomplete(daily: Daily, usual: float, young: int) -> int:
    """Place of the first of the newest days that lack labels, the number of days when none does.

    A day lacks labels with less than COMPLETE of the usual share while they are still coming in, and with less than
    OVERDUE of it at any age: a storm that cancels half of the flights is no late label. Two good days end the search.

    Args:
        young: place of the first day whose labels have not had their time.
    """
    share = daily.labelled / np.maximum(daily.rows, 1)
    first, good = len(share), 0
    for place in np.flatnonzero(daily.rows > 0)[::-1]:
        good = good + 1 if share[place] >= (COMPLETE if place >= young else OVERDUE) * usual else 0
        if good == 2:
            break
        if good == 0:
            first = int(place)
    return first


def share_by_age(history: History, until: int, most: int) -> tuple[Floats, Floats]:
    """Share of rows with a label by age: of older rows when they were that old, and of the rows that have that age now.

    Args:
        until: the day up to which labels are known; rows of that day have age 0.
        most: the largest age, days.
    Returns: two arrays of shape (most + 1,), NaN where there are no rows of that age.
    """
    old = history.day <= until - most
    waits = np.clip(history.delay[old & (history.delay >= 0)], 0, most)
    rows = np.bincount(waits, weights=history.rows[old & (history.delay >= 0)], minlength=most + 1)
    total = history.rows[old].sum()
    expected = np.cumsum(rows) / total if total else np.full(most + 1, np.nan)
    age = until - history.day
    young = (age >= 0) & (age <= most)
    labelled = young & (history.label >= 0)
    all_rows = np.bincount(age[young], weights=history.rows[young], minlength=most + 1)
    with_label = np.bincount(age[labelled], weights=history.rows[labelled], minlength=most + 1)
    with np.errstate(invalid="ignore"):
        return expected, with_label / np.where(all_rows == 0, np.nan, all_rows)


def equal_ages(history: History, until: int, wait: int) -> Ages | None:
    """Compare rows whose labels are still coming in with older rows at the same age; None with too few labels.

    Args:
        until: the day up to which labels are known.
        wait: age in days at which labels count as in.
    """
    age = until - history.day
    recent = (age < wait) & (age >= 0) & (history.label >= 0)
    span = max(4 * WEEK, 2 * wait)
    old = (age >= wait) & (age < wait + span) & (history.label >= 0) & (history.delay >= 0)
    num_recent, num_old = int(history.rows[recent].sum()), int(history.rows[old].sum())
    if num_recent < FEWEST or num_old < FEWEST:
        return None
    in_time = [_until(history, old & (history.label == value), wait) for value in (0, 1)]
    with np.errstate(invalid="ignore"):
        by_age = in_time[1] / (in_time[0] + in_time[1])
    ages, rows = age[recent], history.rows[recent]
    usable = ~np.isnan(by_age[ages])
    if rows[usable].sum() < FEWEST:
        return None
    labels = history.label[recent]
    newest = float(np.average(labels[usable], weights=rows[usable]))
    as_young = float(np.average(by_age[ages][usable], weights=rows[usable]))
    at_last = float(np.average(history.label[old], weights=history.rows[old]))
    days = len(np.unique(history.day[recent][usable]))
    error = np.sqrt(_spread(history, old) / days + as_young * (1 - as_young) / rows[usable].sum())
    return Ages(newest, as_young, at_last, float(error), int(rows[usable].sum()), int(history.day[recent].min()))


def move(daily: Daily, wait: int) -> Move | None:
    """A rate far off its past in each period up to the last day, in weeks or, with little history, days.

    It is a cut when it began within the time that a label takes, ends at less than half of the level before, and keeps
    falling on the way. A rate that dropped and stays, or dropped earlier, has moved.

    Args:
        daily: days whose labels are in, or never will be.
        wait: longest time a label takes, days.
    """
    size = WEEK if len(daily.rows) >= (FEWEST_BASE + 4) * WEEK else 1
    periods = daily.grouped(from_the_end(len(daily.rows), size))
    horizon = max(-(-wait // size) + 1, 4)
    end = max(0, len(periods.rows) - horizon)
    usual = periods.rate[max(0, end - MOST_BASE) : end]
    usual = usual[~np.isnan(usual)]
    if len(usual) < FEWEST_BASE:
        return None
    before = float(np.median(usual))
    spread = 1.4826 * float(np.median(np.abs(usual - before)))
    noise = np.sqrt(spread**2 + before * (1 - before) / np.maximum(periods.labelled, 1))
    off = (periods.rate - before) / np.maximum(3 * noise, GAP * max(before, 1e-9))
    length = max(_run(off < -1), _run(off > 1))
    if length < CUT_PERIODS:
        return None
    tail = periods.rate[len(off) - length :]
    early, late = np.array_split(tail, 2)
    falling = tail[-1] <= 0.5 * before and late.mean() <= 0.8 * early.mean()
    last = daily.first + len(daily.rows) - 1
    newest = daily.positive[-length * size :].sum() / max(daily.labelled[-length * size :].sum(), 1)
    return Move(last + 1 - length * size, last, before, float(newest), bool(falling and length < horizon))


def _run(holds: np.ndarray) -> int:
    """How many of the last places hold, without a gap."""
    return len(holds) if holds.all() else int(np.argmin(holds[::-1]))


def from_the_end(size: int, step: int) -> Ints:
    """First places of periods of `step` days counted back from the last day; an incomplete first period joins the next."""
    starts = np.arange(size % step, size, step)
    if len(starts):
        starts[0] = 0
    return starts.astype(np.int64)


def _until(history: History, chosen: np.ndarray, wait: int) -> Floats:
    """Rows whose label was known by age 0, 1, ... wait - 1."""
    waits, rows = history.delay[chosen], history.rows[chosen]
    counted = np.bincount(np.minimum(waits, wait), weights=rows, minlength=wait + 1)[:wait]
    return np.asarray(np.cumsum(counted), np.float64)


def _spread(history: History, chosen: np.ndarray) -> float:
    """Variance of the daily rate beyond chance: days differ, and days side by side are alike, so it counts double."""
    day, rows, label = history.day[chosen], history.rows[chosen], history.label[chosen]
    _, place = np.unique(day, return_inverse=True)
    totals = np.bincount(place, weights=rows)
    rates = np.bincount(place, weights=rows * label) / totals
    mean = np.average(rates, weights=totals)
    between = np.average((rates - mean) ** 2, weights=totals)
    return max(0.0, 2 * float(between - mean * (1 - mean) * len(totals) / totals.sum()))


def _usual(history: History, wait: float) -> float:
    old = history.day <= history.day.max() - wait
    rows = history.rows[old].sum()
    return float(history.rows[old & (history.label >= 0)].sum() / rows) if rows else 1.0


def _quantile(values: Ints, weights: Ints, q: float) -> float:
    if len(values) == 0:
        return 0.0
    order = np.argsort(values, kind="stable")
    total = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(total, q * total[-1])])
