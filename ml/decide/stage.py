"""The stage: know, decide, and leave the reason where people look. Only scheduled nights may be told to skip."""

import logging
import time
from dataclasses import replace
from datetime import date, timedelta

import pyarrow.compute as pc

from ml import exclusions, policy, prepare, privacy, split
from ml.context import Context
from ml.decide.known import gather, options, stays
from ml.errors import DataError
from ml.policy import DECIDED, Decision, Known, Look, Option, compare
from ml.records import Compared, Decided, Validated
from ml.tables import DAY
from ml.window import Window

log = logging.getLogger(__name__)
BY_HAND = "asked for by hand"


def run(context: Context) -> Decided:
    """Decide whether this run trains, and from which days.

    Raises: DataError: the validated rows cannot be read. TransientError: the database is away.
    """
    inputs = [context.record(Validated).version, context.problem.retraining.model_dump(mode="json"), context.reason]
    decided = context.once(Decided, inputs, lambda: _decide(context))
    if context.reason in ("schedule", "drift") and not context.dry_run:
        _note(context, decided, key=f"{context.run_key}@{context.record(Validated).version}")
    log.info("decide: %s", decided.sentence)
    return decided


def skipped(context: Context, why: str) -> None:
    """Write down that a scheduled night ended before there was anything to decide."""
    if context.reason == "schedule":
        found = Decided(train=False, rule="unchanged", policy=context.problem.retraining.policy, why=why)
        _note(context, found, key=context.run_key)


def _note(context: Context, decided: Decided, *, key: str) -> None:
    body = decided.model_dump(mode="json", exclude={"seconds"})
    actor = f"retrain:{context.reason}"
    context.ledger.append(context.problem.name, DECIDED, key=key, actor=actor, run_key=context.run_key, body=body)


def _decide(context: Context) -> Decided:
    rule = context.problem.retraining
    if context.reason not in ("schedule", "drift"):
        return Decided(train=True, rule="asked", policy=rule.policy, why=BY_HAND)
    began, known = time.monotonic(), gather(context)
    forced = _forced(known) if context.reason == "drift" else None
    looks = policy.must_look(known, rule) or (forced is not None and rule.policy == "evergreen" and len(rule.windows) > 1)
    look, until = _look(context) if looks else (None, None)
    decision = forced.from_best(look) if forced else policy.decide(replace(known, look=look), rule)
    usual = decision.memory in (None, "sliding")
    return Decided(
        train=decision.train,
        rule=decision.rule,
        policy=rule.policy,
        why=decision.why,
        memory=decision.memory,
        start=None if usual else decision.start,
        num_new=known.num_new,
        minutes_spent=round(known.minutes_spent, 2),
        compared=tuple(_compared(option) for option in look.options) if look else (),
        looked_until=until if decision.rule in ("gain", "no gain", "not assessable") else None,
        seconds=round(time.monotonic() - began, 2),
    )


def _forced(known: Known) -> Decision:
    return Decision(True, "drift", f"a retrain is due: {'; '.join(known.asked) or 'drift'}")


def _look(context: Context) -> tuple[Look, date | None]:
    """Compare windows on the labelled rows before those of the test; and the newest labelled day there is."""
    validated, about = context.record(Validated), context.problem
    memory = max(about.retraining.memory_days, about.split.train_days)
    period = Window(validated.end - timedelta(days=memory), validated.end)
    forgotten = privacy.forgotten(about, context.store)
    given = prepare.given_for(context, period, context.table("labels").newest)
    rows, _ = prepare.labelled(context, validated, period, exclusions.days(context), forgotten, given)
    days = sorted(map(date.fromisoformat, pc.unique(rows[DAY]).to_pylist()))
    try:
        tested, _ = split.parts_by_day(days, about.split)["test"]
    except DataError as error:
        return Look((), 0, str(error)), days[-1] if days else None
    before = rows.filter(pc.less(rows[DAY], str(tested - timedelta(days=about.split.gap_days))))
    return compare.look(before, about, options(context, days), stays(context)), days[-1]


def _compared(option: Option) -> Compared:
    error = option.error if option.error < float("inf") else None
    told = {name: getattr(option, name) for name in ("memory", "start", "better", "gain", "share", "p_value")}
    return Compared(**told, error=error)
