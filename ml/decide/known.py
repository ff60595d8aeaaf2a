"""What a night knows: read from the ledger, the runs' records and the table `valid`."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import chain
from typing import Any

import pyarrow.compute as pc
from pydantic import ValidationError

from ml import exclusions, labels, targets, tuned
from ml.context import Context
from ml.ledger import Entry
from ml.policy import DECIDED, Known
from ml.problem import Memory, Problem
from ml.records import Ingested, Monitored, Prepared, Trained, Validated
from ml.snapshot import PROBLEM
from ml.tables import DAY
from ml.window import Window, local_day

VERDICT, DRIFT = "verdict", "retrain_asked"  # kinds of ledger entries
MONTH = timedelta(days=30)
UNIMPORTANT = {"watchdog", "checkpoint_seconds"}  # of [training]: when to save and to give up, not what is learned


@dataclass(frozen=True)
class LastTraining:
    """The newest training that the gate has judged, whatever it said; `prepared` is None when its folder is gone."""

    entry: Entry
    prepared: Prepared | None


def gather(context: Context) -> Known:
    """Everything but the comparison of windows.

    Raises: TransientError: the database is away.
    """
    entries, now, zone = context.ledger.entries(context.problem.name), context.settings.now(), context.problem.source.timezone
    verdicts = [one for one in entries if one.kind == VERDICT and not one.body["verdict"]["dry_run"]]
    last = _last(context, verdicts[-1]) if verdicts else None
    prepared = last.prepared if last else None
    spent = {one.run_key: _seconds(context, one) for one in verdicts if one.at > now - MONTH}
    return Known(
        today=local_day(now, zone),
        changed=context.record(Ingested).changed if context.has(Ingested) else True,
        trained_on=local_day(last.entry.at, zone) if last else None,
        serving=context.ledger.champion(context.problem.name) is not None,
        num_learned=sum(part.num_rows for part in (prepared.train, prepared.validation, prepared.test)) if prepared else 0,
        num_new=num_labelled_since(context, since(context, entries, prepared)),
        num_given=_num_given(context, last.entry.at if last else None),
        drifted=_drifted(context, last.entry.at if last else None),
        asked=tuple(str(work.body.get("reason", work.key)) for work in context.ledger.due(context.problem.name, "retrain")),
        edited=edited(context, last.entry.run_key) if last and last.entry.run_key else (),
        minutes_spent=sum(spent.values()) / 60,
        minutes_needed=_seconds(context, last.entry) / 60 if last else 0.0,
    )


def _last(context: Context, verdict: Entry) -> LastTraining:
    run = context.of_run(str(verdict.run_key))
    return LastTraining(verdict, run.record(Prepared) if run.has(Prepared) else None)


def _seconds(context: Context, verdict: Entry) -> float:
    run = context.of_run(str(verdict.run_key))
    return run.record(Trained).seconds if run.has(Trained) else 0.0


def since(context: Context, entries: Sequence[Entry], prepared: Prepared | None) -> date | None:
    """The newest labelled day that the last training had, or a look after it whether new rows help; None: there was none."""
    days = [prepared.test.last] if prepared else []
    looks = [one.body["looked_until"] for one in entries if one.kind == DECIDED and one.run_key != context.run_key]
    return max(chain(days, (date.fromisoformat(day) for day in looks if day)), default=None)


def num_labelled_since(context: Context, day: date | None) -> int:
    """Labelled rows of `valid` on days after `day`, those of days that people took out left out."""
    validated, about = context.record(Validated), context.problem
    start = day + timedelta(days=1) if day else validated.end - timedelta(days=about.split.train_days)
    if start >= validated.end:
        return 0
    columns = [DAY, *about.source.labels]
    rows = context.table("valid").read(Window(start, validated.end), columns=columns, version=validated.version)
    kept = exclusions.without(rows, exclusions.days(context))
    return int(pc.sum(targets.known(kept, about)).as_py() or 0)


def _num_given(context: Context, trained_at: datetime | None) -> int:
    start = local_day(trained_at, context.problem.source.timezone) if trained_at else None
    given = labels.winning(context, labels.read(context, start), context.settings.now())
    return sum(trained_at is None or moment > trained_at for moment in given["_at"].to_pylist())


def _drifted(context: Context, trained_at: datetime | None) -> frozenset[str]:
    """What the newest monitoring of the champion called drift, if its requests came after the last training."""
    if not context.store.exists(Monitored.latest):
        return frozenset()
    seen, champion = (
        Monitored.model_validate(context.store.read_json(Monitored.latest)),
        context.ledger.champion(context.problem.name),
    )
    if champion is None or seen.version != champion.version or seen.end is None or (trained_at and seen.end <= trained_at):
        return frozenset()
    return frozenset(kind for kind, verdict in seen.verdicts.items() if verdict == "drift")


def edited(context: Context, run_key: str) -> tuple[str, ...]:
    """Sections of the problem file that decide what is learned, and are not as a run had them."""
    run = context.of_run(run_key)
    if not run.store.exists(run.name(PROBLEM)):
        return ()
    try:
        then = Problem.model_validate(run.store.read_json(run.name(PROBLEM)))
    except ValidationError:
        return ("problem",)  # it does not fit what the sections may hold today
    ours, theirs = _learned_from(context.problem.model_copy(update={"training": tuned.training(context)})), _learned_from(then)
    return tuple(name for name in ours if ours[name] != theirs[name])


def _learned_from(problem: Problem) -> dict[str, Any]:
    return {
        "problem": (problem.problem.task, problem.problem.classes),
        "source": (problem.source.key, problem.source.event_time, problem.source.labels),
        "features": [(name, feature.model_dump()) for name, feature in problem.features.items()],
        "split": problem.split.model_dump(),
        "training": problem.training.model_dump(exclude=UNIMPORTANT),
    }


def options(context: Context, days: Sequence[date]) -> dict[Memory, date]:
    """First day of every window that [retraining] names; one that begins as another does is left out.

    Args:
        days: that have rows, sorted.
    """
    about, end = context.problem, context.record(Validated).end
    oldest, rule = days[0], about.retraining
    known = [day for day in _breaks(context) if day > oldest]
    starts: dict[Memory, date | None] = {
        "sliding": max(end - timedelta(days=about.split.train_days), oldest),
        "expanding": max(end - timedelta(days=rule.memory_days), oldest),
        "break": known[-1] if known else None,
    }
    return _distinct((name, starts[name]) for name in rule.windows)


def _distinct(starts: Iterable[tuple[Memory, date | None]]) -> dict[Memory, date]:
    found: dict[Memory, date] = {}
    for name, start in starts:
        if start is not None and start not in found.values():
            found[name] = start
    return found


def _breaks(context: Context) -> list[date]:
    """Since when what asked for a retrain stood out, sorted: rows from before may teach what is not true any more."""
    zone = context.problem.source.timezone
    asked = [one for one in context.ledger.entries(context.problem.name) if one.kind == DRIFT]
    return sorted(_since(one.body) or local_day(one.at, zone) for one in asked)


def _since(body: Mapping[str, Any]) -> date | None:
    days = [date.fromisoformat(str(one["since"])) for one in body.get("findings", ()) if one.get("since")]
    return min(days, default=None)


def stays(context: Context) -> Window | None:
    """The days that the champion has learned from; None when there is none, or its folder is gone."""
    champion = context.ledger.champion(context.problem.name)
    run = context.of_run(champion.run_key) if champion else None
    if run is None or not run.has(Prepared) or not run.has(Trained):
        return None
    prepared = run.record(Prepared)
    last = prepared.validation if run.record(Trained).training.get("refit", True) else prepared.train
    return Window(prepared.train.first, last.last + timedelta(days=1))
