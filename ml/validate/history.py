"""Table rules from history: each new day beside the days before it. Pure; nothing here reads or writes.

A day is judged once, in the run in which its rows (or its labels) are there: sources that tell of a row weeks later have days
that fill up slowly, and a half-filled day would always look wrong.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from statistics import median
from typing import Literal

from ml.problem import History, Limit, Problem
from ml.profile import GRID, Profile
from ml.records import RuleResult
from ml.validate import usual
from ml.validate.usual import Reading, Trailing
from ml.window import Window

HOURS_A_DAY = 24
MINUTES_A_DAY = 1440
MOST_DAYS = 31
Level = Literal["critical", "warning"]

WHY = {
    "row_count": "a day with far fewer or far more rows than that weekday usually has is a feed that stopped, or ran twice",
    "nulls": "a column that is suddenly missing is a broken join; the model would learn that nothing is known",
    "class_balance": "a sudden jump of the share of positives is a changed definition of the label, or half of its feed",
    "new_categories": "values never seen before are new codes of the source; the model knows nothing about them",
    "distribution": "values that lie elsewhere than in all weeks before have another unit, source or meaning",
    "freshness": "a night that learns nothing new looks like one that works",
    "duplicates": "a row that is there twice counts twice, and may stand in two parts of a split",
}
NAMES = {
    "row_count": "rows of a day",
    "nulls": "share of missing values",
    "class_balance": "share of positive labels",
    "new_categories": "values never seen before",
    "distribution": "distribution of values",
    "freshness": "age of the newest event",
    "duplicates": "rows that are there twice",
}


@dataclass(frozen=True)
class Due:
    """Days whose rows, and days whose labels, came in with this run."""

    rows: tuple[date, ...] = ()
    labels: tuple[date, ...] = ()


@dataclass(frozen=True)
class Evidence:
    """What a run knows when its rows are judged but not yet let in.

    `inside` are profiles of the days due as they would be let in, `before` of the other days as they stand in `valid`;
    `newest` is the latest event; `num_repeated` and `num_identical` count ingested rows whose key, or whose whole content,
    another row has too.
    """

    window: Window
    due: Due
    inside: Trailing
    before: Trailing
    newest: datetime | None
    num_rows: int
    num_repeated: int
    num_identical: int


@dataclass(frozen=True)
class HistoryOutcome:
    """One rule on all days due: every reading with the level it reached (None: usual), the worst first."""

    result: RuleResult
    expected: str
    assessable: bool
    readings: tuple[tuple[Reading, Level | None, str], ...] = field(default=())


def days_due(past: Trailing, window: Window, problem: Problem, *, asked: bool) -> Due:
    """The days to judge in this run: those that are complete now and were not in the run before.

    A day is complete when, at the delay usual for this source, 95 of 100 of its rows (labels) have come.

    Args:
        past: profiles of the days validated so far.
        asked: a person or a backfill named the window; then its last 31 days are judged, however complete.
    """
    if not any(day < window.start for day in past):
        return Due()
    days = list(window)
    if asked:
        return Due(tuple(days[-MOST_DAYS:]), tuple(days[-MOST_DAYS:]))
    source = problem.source
    first_new = min(window.start + timedelta(days=source.lookback_days), window.end - timedelta(days=1))
    rows_after = _days_until(past, source.available_at) if source.available_at else 0
    labels_after = max(_days_until(past, source.label_time), rows_after)

    def due(after: timedelta) -> tuple[date, ...]:
        return tuple(day for day in days if first_new - after <= day < window.end - after)

    return Due(due(timedelta(days=rows_after)), due(timedelta(days=labels_after)))


def judge(seen: Evidence, problem: Problem) -> list[HistoryOutcome]:
    """Every rule that is not off, in the order of the problem file."""
    config, source = problem.validation.history, problem.source
    columns = [name for name in _columns(seen) if name not in (source.key, *source.labels, source.label_time)]
    yes_or_no, others = (source.labels, ()) if problem.task.decides else ((), source.labels)
    each, inside, due = _Comparable(seen, config).each, seen.inside, seen.due
    found: dict[str, list[Reading]] = {
        "row_count": each(due.rows, lambda day, past: [usual.row_count(day, inside[day], past)], any_size=True),
        "nulls": each(due.rows, lambda day, past: usual.nulls(day, inside[day], past, columns))
        + each(due.labels, lambda day, past: usual.nulls(day, inside[day], past, source.labels)),
        "class_balance": each(
            due.labels,
            lambda day, past: [usual.class_balance(day, inside[day], past, name, config.minimum_rows) for name in yes_or_no],
        ),
        "new_categories": each(due.rows, lambda day, past: usual.new_categories(day, inside[day], past)),
        "distribution": each(due.rows, lambda day, past: usual.distribution(day, inside[day], past, columns))
        + each(due.labels, lambda day, past: usual.distribution(day, inside[day], past, others)),
        "freshness": _freshness(seen, source.timezone, _earliest_hours(seen.before, source.available_at)),
        "duplicates": _duplicates(seen, source.key),
    }
    limits: dict[str, Limit] = {rule: getattr(config, rule) for rule in found}
    return [_outcome(rule, found[rule], limit, problem.problem.positive) for rule, limit in limits.items() if not _is_off(limit)]


class _Comparable:
    """The days that a day may be compared with, and whether they are enough."""

    def __init__(self, seen: Evidence, config: History) -> None:
        self.seen, self.config = seen, config
        self.all = {**seen.before, **seen.inside}

    def each(
        self,
        days: Sequence[date],
        readings: Callable[[date, Mapping[date, Profile]], Iterable[Reading | None]],
        *,
        any_size: bool = False,
    ) -> list[Reading]:
        """Readings of the days that have history enough; small days have none but their number of rows."""
        found: list[Reading] = []
        for day in days:
            past = self._before(day, any_size)
            today = self.seen.inside.get(day)
            if today is None or (today.num_rows == 0 and not any_size):
                continue
            large = any_size or today.num_rows >= self.config.minimum_rows
            if large and len(past) >= self.config.minimum_days:
                found += [reading for reading in readings(day, past) if reading is not None]
        return found

    def _before(self, day: date, any_size: bool) -> dict[date, Profile]:
        least = 1 if any_size else self.config.minimum_rows
        first = day - timedelta(weeks=self.config.trailing_weeks)
        return {one: profile for one, profile in self.all.items() if first <= one < day and profile.num_rows >= least}


def _columns(seen: Evidence) -> list[str]:
    return list(dict.fromkeys(name for profile in seen.inside.values() for name in profile.columns))


def _days_until(past: Trailing, column: str) -> int:
    """Whole days after the event until 95 of 100 rows have `column`, on the day in the middle."""
    at = GRID.index(0.95)
    gaps = [one.columns[column].gaps for one in past.values() if column in one.columns]
    late = [one[at] for one in gaps if one]
    return max(math.ceil(median(late) / MINUTES_A_DAY), 0) if late else 0


def _earliest_hours(past: Trailing, column: str | None) -> float:
    """Hours after an event at which the source usually first tells of one, and a day for the clock."""
    gaps = [one.columns[column].gaps for one in past.values() if column and column in one.columns]
    first = [one[1] for one in gaps if one]
    return max(median(first) / 60 if first else 0.0, 0.0) + HOURS_A_DAY


def _freshness(seen: Evidence, zone: str, usual_delay: float) -> list[Reading]:
    if seen.newest is None or not seen.before:
        return []
    hours = max((seen.window.instants(zone)[1] - seen.newest).total_seconds() / 3600, 0.0)
    return [usual.freshness(seen.window.end - timedelta(days=1), hours, usual_delay)]


def _duplicates(seen: Evidence, key: str) -> list[Reading]:
    if not seen.num_rows:
        return []
    day = seen.window.end - timedelta(days=1)
    shares = {key: seen.num_repeated / seen.num_rows, "every column": seen.num_identical / seen.num_rows}
    return [Reading(name, day, share, 0.0, 0.0, share, "") for name, share in shares.items()]


def _is_off(limit: Limit) -> bool:
    return limit.warning == "off" and limit.critical == "off"


def _level(reading: Reading, limit: Limit) -> Level | None:
    if limit.critical != "off" and reading.excess > limit.critical:
        return "critical"
    return "warning" if limit.warning != "off" and reading.excess > limit.warning else None


def _outcome(rule: str, readings: Sequence[Reading], limit: Limit, positive: str) -> HistoryOutcome:
    judged = [(reading, _level(reading, limit), _sentence(rule, reading, positive)) for reading in readings]
    judged.sort(key=lambda one: (one[1] != "critical", one[1] != "warning", -one[0].excess))
    broken = [one for one in judged if one[1]]
    worst = broken[0][1] if broken else None
    result = RuleResult(
        rule=NAMES[rule],
        kind="table",
        severity=worst or ("critical" if limit.critical != "off" else "warning"),
        holds=not broken,
        num_broken=0,
        observed=_observed([one[2] for one in judged], [one[2] for one in broken]),
        why=WHY[rule],
    )
    return HistoryOutcome(result, _expected(rule, limit), bool(judged), tuple(judged))


def _observed(judged: Sequence[str], broken: Sequence[str]) -> str:
    if not judged:
        return "not assessable: too little history"
    return ("; ".join(broken[:3]) or judged[0])[:300]


def _expected(rule: str, limit: Limit) -> str:
    unit = " hours" if rule == "freshness" else ""
    told = [
        f"{name} beyond {value:g}{unit}"
        for name, value in (("warning", limit.warning), ("critical", limit.critical))
        if value != "off"
    ]
    against = {
        "row_count": "as on that weekday in the weeks before",
        "freshness": "within the usual delay",
        "duplicates": "none",
    }.get(rule, "within the usual range of the weeks before")
    return f"{against}; {', '.join(told)}"


def _sentence(rule: str, one: Reading, positive: str) -> str:
    """`wind_gust: 98 % missing on 2013-02-03, usually 12 % to 60 %`."""
    if rule == "row_count":
        return f"{one.value:,.0f} rows on {one.day:%a} {one.day}, usually {one.low:,.0f} on that weekday"
    if rule == "freshness":
        return f"the newest event is {one.value:.0f} hours old at the end of the window, usually at most {one.high:.0f}"
    if rule == "duplicates":
        return (
            f"{one.value:.2%} of the rows have the {one.column} of another row"
            if one.column != "every column"
            else (f"{one.value:.2%} of the rows are wholly equal to another row")
        )
    if rule == "distribution":
        return f"{one.column}: distance {one.value:.2f} from the weeks before on {one.day}, usually at most {one.high:.2f}"
    if rule == "new_categories":
        return f"{one.column}: {one.value:.1%} of rows with values never seen before on {one.day}, usually at most {one.high:.1%}"
    what = "missing" if rule == "nulls" else positive
    return f"{one.column}: {one.value:.1%} {what} on {one.day}, usually {one.low:.1%} to {one.high:.1%}"
