"""What the replays left behind, read and put side by side."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from ml import judged, metrics, targets
from ml.backtest import history, judge
from ml.backtest.asked import Asked, weeks
from ml.backtest.night import WATCHING, Played
from ml.backtest.timeline import Night
from ml.backtest.world import World
from ml.errors import DataError
from ml.metrics import Floats
from ml.problem import Problem
from ml.records.backtest import Backtested, Ground, PolicyOutcome
from ml.scoring import Scorer

AFTER_DAYS = 7  # days after an alarm on which the fresh model has to show that it was worth it
MINUTE = 60.0


@dataclass(frozen=True)
class Answers:
    """Labelled answers of one policy, in the order in which they were asked for; `nights` says between which nights."""

    nights: npt.NDArray[np.str_]
    keys: list[str]
    labels: Floats
    scores: Floats


def of(worlds: Sequence[World], nights: Sequence[Night], asked: Asked, named: str) -> Backtested:
    """Quality over time, costs and alarms of every policy, and which one to take.

    Raises: DataError: no night is answered by every policy, because the gate never let a first model through.
    """
    metric = worlds[0].problem.success.metric
    common = [night for night in nights if all(at.answers(night).exists() for at in worlds)]
    if not common:
        raise DataError(
            f"No model passed the gate in {asked.window}, so there is nothing to compare. The nights' verdicts lie in "
            f"{worlds[0].folder}; begin later, where there is more to learn from, or lower the floors of [gate]."
        )
    answers = {at.policy: _answers(at, common) for at in worlds}
    days = judge.piece_days(asked.window, asked.every)
    pieces = weeks(asked.window, days)
    values = {name: judge.by_piece(metric, one.nights, one.labels, one.scores, pieces) for name, one in answers.items()}
    outcomes = [_policy(at, nights, values) for at in sorted(worlds, key=lambda at: asked.policies.index(at.policy))]
    chosen, words = judge.recommend(outcomes, metric)
    named_outcomes = {one.policy: one for one in outcomes}
    told = [words, *(judge.goals(named_outcomes, "evergreen") if "evergreen" in named_outcomes else [])]
    return Backtested(
        start=asked.window.start,
        end=asked.window.end,
        every=asked.every,
        share=asked.share,
        history=named,
        metric=metric,
        num_rows=len(next(iter(answers.values())).labels),
        piece_days=days,
        pieces=tuple(piece.start for piece in pieces),
        policies=tuple(outcomes),
        recommended=chosen,
        sentence=" ".join(one if one.endswith(".") else f"{one}." for one in told),
    )


def _answers(at: World, nights: Sequence[Night]) -> Answers:
    tables = [pq.read_table(at.answers(night)) for night in nights]
    whole = pa.concat_tables(tables)
    names = np.repeat([night.name for night in nights], [table.num_rows for table in tables])
    score = whole["score"]
    scores = np.asarray(score.to_pylist() if pa.types.is_list(score.type) else score.to_numpy(), dtype=np.float64)
    return Answers(names, whole["key"].to_pylist(), targets.targets(whole["label"], at.problem), scores)


def _policy(at: World, nights: Sequence[Night], values: dict[str, Floats]) -> PolicyOutcome:
    played = [Played.model_validate_json(at.record(night).read_text()) for night in nights]
    ours, metric = values[at.policy], at.problem.success.metric
    beside = {name: values[name] for name in ("never", "nightly") if name in values and name != at.policy}
    alarms: dict[str, Any] = {}
    if at.policy in WATCHING:
        verdicts = [_false_alarm(at, night, told) for night, told in zip(nights, played, strict=True) if told.alarmed]
        alarms = {"num_alarms": len(verdicts), "num_false_alarms": sum(verdict is True for verdict in verdicts)}
    return PolicyOutcome(
        policy=at.policy,
        quality=judge.mean(ours),
        over_time=judge.plain(ours),
        num_nights=len(played),
        num_trained=sum(told.trained for told in played),
        num_promoted=sum(told.promoted for told in played),
        num_failed=sum(bool(told.failed) for told in played),
        train_minutes=round(sum(told.train_seconds for told in played) / MINUTE, 2),
        decide_minutes=round(sum(told.decide_seconds for told in played) / MINUTE, 2),
        grounds=grounds(played),
        **{f"over_{name}": judge.gain(metric, ours, theirs) for name, theirs in beside.items()},
        **alarms,
    )


def grounds(played: Sequence[Played]) -> tuple[Ground, ...]:
    """On what ground each night trained or did not, the most frequent first."""
    newest = {(told.rule, told.trained): told.why for told in played}
    counts = Counter((told.rule, told.trained) for told in played)
    return tuple(
        Ground(rule=rule, trained=trained, num_nights=count, words=newest[rule, trained])
        for (rule, trained), count in counts.most_common()
    )


def _false_alarm(at: World, night: Night, told: Played) -> bool | None:
    """Whether the model that an alarm brought was no better than the one before it on the days after; None: nobody knows."""
    if not told.trained or told.failed or told.before is None:
        return None
    rows = history.asked_between(at.past, night.at, night.at + timedelta(days=AFTER_DAYS))
    rows = rows.filter(targets.known(rows, at.problem))
    runs = (at.context(f"night-{night.name}"), at.context(told.before))
    fresh, old = (_quality(Scorer.load(judged.model_of(run)), rows, at.problem) for run in runs)
    return bool(metrics.better(at.problem.success.metric) * (fresh - old) <= 0)


def _quality(scorer: Scorer, rows: pa.Table, problem: Problem) -> float:
    labels = targets.targets(targets.column(rows, problem), problem)
    return metrics.metric(problem.success.metric, labels, scorer.score(rows))
