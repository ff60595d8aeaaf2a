"""Which window would teach best, and whether new rows help at all: a cheap model learns from each and meets newer days.

Every model is judged on days that come after all it has learned from (test, then train: Dawid 1984), never on the days that
will judge the night's candidate. Differences are over the same rows, with errors over whole days, as the gate's are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ml import baselines, features, metrics, targets
from ml.errors import DataError
from ml.features import columns, encoder
from ml.policy.known import Look, Option
from ml.problem import Memory, Problem
from ml.records import Interval
from ml.tables import DAY
from ml.window import Window

Floats = npt.NDArray[np.float64]
TURNS, TURN_DAYS = 3, 7  # every turn's models learn up to its first day; whole weeks, because weekdays differ
MOST = 40_000  # rows of the longest window; all are thinned out alike, so that a longer window still has more to teach
SEED = 0
STAY = "stay"


@dataclass(frozen=True)
class Turn:
    """Some days that judge, and what each option learns from for them."""

    judged: Window
    learned: Mapping[Memory, Window]


@dataclass(frozen=True)
class Met:
    """Rows that judged, `days` and `labels` of shape (n,) or (n, k), and answers by name, NaN where there are none."""

    days: npt.NDArray[np.str_]
    labels: Floats
    scores: Mapping[str, Floats]

    def gain(self, ours: str, theirs: str, metric: str) -> Interval | None:
        """How much better one is than the other where both answered; None when those are too few days."""
        both = self._answered(ours) & self._answered(theirs)
        if len(np.unique(self.days[both])) < metrics.FEWEST_DAYS:
            return None
        draws = metrics.Draws.over(self.days[both], int(both.sum()))
        one, other = self.scores[ours][both], self.scores[theirs][both]
        return metrics.paired_gain(metric, self.labels[both], one, other, confidence=0.95, draws=draws)

    def value(self, name: str, beside: str, metric: str) -> float:
        """The metric of one where both answered."""
        both = self._answered(name) & self._answered(beside)
        return metrics.metric(metric, self.labels[both], self.scores[name][both])

    def _answered(self, name: str) -> npt.NDArray[np.bool_]:
        held = self.scores[name]
        return ~np.isnan(held if held.ndim == 1 else held[:, 0])


def look(rows: pa.Table, problem: Problem, options: Mapping[Memory, date], stay: Window | None) -> Look:
    """Compare windows to learn from, and all of them with the rows that the champion has learned from.

    Args:
        rows: labelled rows with the features, `_day` and `_label`, older than the days that will judge the candidate.
        options: first day per window, for a training that ends with the newest of these rows; the first is the usual one.
        stay: the days that the champion learned from; None when there is none to hold the windows against.
    """
    days = sorted(map(date.fromisoformat, pc.unique(rows[DAY]).to_pylist()))
    turns = plan(days, options, gap_days=problem.split.gap_days)
    if not turns:
        return Look((), 0, f"{len(days)} labelled days before those of the test are too few to hold windows against each other")
    thin = _thinned(rows, turns)
    try:
        met = _meet(thin, problem, turns, stay)
    except DataError as error:  # days without one class, a label that nobody knows: a training would tell the same
        return Look((), 0, str(error))
    found = tuple(_option(name, start, met, problem) for name, start in options.items() if name in met.scores)
    why_not = "" if STAY in met.scores else "too few labelled days are newer than those that the champion has learned from"
    return Look(found, len(np.unique(met.days)), why_not)


def plan(days: Sequence[date], options: Mapping[Memory, date], *, gap_days: int) -> list[Turn]:
    """The turns over the newest days, oldest first; an option without a week to learn from takes no part in a turn.

    Args:
        days: that have labels, sorted.
    """
    turns: list[Turn] = []
    for number in range(TURNS, 0, -1) if days else ():
        first = days[-1] + timedelta(days=1 - number * TURN_DAYS)
        until, back = first - timedelta(days=gap_days), timedelta(days=number * TURN_DAYS)
        starts = {name: max(start - back if name == "sliding" else start, days[0]) for name, start in options.items()}
        learned = {name: Window(start, until) for name, start in starts.items() if until - start >= timedelta(days=TURN_DAYS)}
        if next(iter(options)) in learned:
            turns.append(Turn(Window(first, first + timedelta(days=TURN_DAYS)), learned))
    return turns


def _thinned(rows: pa.Table, turns: Sequence[Turn]) -> pa.Table:
    """A fixed share of all rows, so that no window has more than MOST."""
    longest = max((within(rows, window).num_rows for window in turns[-1].learned.values()), default=0)
    if longest <= MOST:
        return rows
    return rows.filter(pa.array(np.random.default_rng(SEED).random(rows.num_rows) < MOST / longest))


def _meet(rows: pa.Table, problem: Problem, turns: Sequence[Turn], stay: Window | None) -> Met:
    """Let every option answer the rows of the turns that it takes part in, and the champion's rows all that are newer."""
    parts = [within(rows, turn.judged) for turn in turns]
    judged = pa.concat_tables(parts)
    days, labels = np.asarray(judged[DAY].to_pylist(), dtype=str), targets.targets(judged["_label"], problem)
    scores: dict[str, Floats] = {}
    for turn, part in zip(turns, parts, strict=True):
        here = (days >= str(turn.judged.start)) & (days < str(turn.judged.end))
        for name, learned in turn.learned.items():
            scores.setdefault(name, np.full(labels.shape, np.nan))[here] = _scores(rows, learned, part, problem)
    newer = days >= str(stay.end) if stay else np.zeros(len(days), dtype=bool)
    if stay and len(np.unique(days[newer])) >= metrics.FEWEST_DAYS:
        scores[STAY] = np.full(labels.shape, np.nan)
        scores[STAY][newer] = _scores(rows, stay, judged.filter(pa.array(newer)), problem)
    return Met(days, labels, scores)


def _option(name: Memory, start: date, met: Met, problem: Problem) -> Option:
    usual, metric = next(iter(met.scores)), problem.success.metric
    beside = met.gain(name, usual, metric) if name != usual else None
    option = Option(name, start, better=beside.value, error=_error(beside)) if beside else Option(name, start)
    if STAY not in met.scores or (over := met.gain(name, STAY, metric)) is None:
        return option
    perfect = metrics.bounds(metric)[1 if metrics.better(metric) > 0 else 0]
    left = abs(perfect - met.value(STAY, name, metric))
    return replace(option, gain=over.value, share=over.value / left if left else 0.0, p_value=metrics.doubt(over, 0.0))


def _error(found: Interval) -> float:
    """The standard error; without bound where there is none, so that nothing is concluded."""
    return found.error if found.error is not None and np.isfinite(found.error) else float("inf")


def within(rows: pa.Table, window: Window) -> pa.Table:
    """The rows of a window."""
    return rows.filter(pc.and_(pc.greater_equal(rows[DAY], str(window.start)), pc.less(rows[DAY], str(window.end))))


def _scores(rows: pa.Table, learned: Window, judged: pa.Table, problem: Problem) -> Floats:
    """What a linear model of one window says about newer rows."""
    taught = within(rows, learned)
    targets.refuse_poor(taught["_label"], problem, "train")
    encoding = features.fit(taught, problem.features, timezone=problem.source.timezone)
    plan = features.layout(encoding)
    ours, theirs = (
        columns.encode(part, plan) | {"label": targets.targets(part["_label"], problem).astype(np.float32)}
        for part in (taught, judged)
    )
    task = problem.problem.task
    return baselines.fit_and_score(("linear",), ours, ours, theirs, sizes=encoder.sizes(encoding), task=task)["linear"]
