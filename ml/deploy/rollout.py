"""A champion on its way into service: which step it is at, whether it may take the next, what a person asked for.

Every step is an entry of the ledger, written before the service is told; so whoever was killed, service or deployment, goes
on from there. The guardrails on traffic are the service's own; here is what needs labels and time.
"""

import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ml.context import Context
from ml.deploy import outcomes
from ml.deploy.service import PredictionService
from ml.errors import ConfigError, DataError, RefusedError
from ml.ledger import Champion, Ledger
from ml.problem import Serving
from ml.records import RollingOut
from ml.rollout import Comparison, Rollout, serving, story, under_way
from ml.rollout.story import Mode, Order

log = logging.getLogger(__name__)
SOONEST_S, LATEST_S = 2.0, 60.0  # between two looks


@dataclass(frozen=True)
class Asked:
    """What a person wants of a rollout: how it should go, or what should become of the one that is under way."""

    mode: Mode | None = None
    order: Order | None = None
    actor: str = "deploy"
    comment: str = ""


NOTHING = Asked()


@dataclass(frozen=True)
class Seen:
    """What came of the present step so far."""

    requests: int
    comparison: Comparison | None
    minutes: float


def begin(context: Context, champion: Champion, asked: Asked = NOTHING) -> Rollout | None:
    """The rollout of the champion, begun if it has to be and was not; None when it is to answer everybody at once.

    Raises: ConfigError: what a person asks for cannot be.
    """
    name, ledger = context.problem.name, context.ledger
    entries = ledger.entries(name)
    if (found := under_way(entries)) is not None:
        return _obey(context, found, asked)
    mine = f", {context.run_key} {asked.order}"
    if asked.order and not any(entry.kind == story.ORDER and entry.key.endswith(mine) for entry in entries):
        raise ConfigError(f"No rollout of {name} is under way, so there is none to {asked.order}.")
    mode, previous = asked.mode or context.problem.serving.rollout, serving(entries)
    move = next(entry for entry in entries if entry.id == champion.entry)
    if mode == "direct" or previous is None or move.kind == "rollback" or story.ended(entries, move):
        return None
    if mode == "ab" and outcomes.bound(context.problem) is None:
        raise ConfigError(f"{name} answers with numbers, which decide nothing that could cost: roll it out as canary.")
    first = Rollout(champion, previous, mode, shares(mode, context.problem.serving), 0, datetime.now(UTC), ledger.now(), None)
    _write(ledger, name, first, asked.actor, {})
    return under_way(ledger.entries(name))


def shares(mode: Mode, policy: Serving) -> tuple[float, ...]:
    """Of entities that the new version answers, step by step, before it answers all."""
    return {"shadow": (0.0,), "canary": policy.steps, "ab": (policy.ab.share,), "direct": ()}[mode]


def advance(context: Context, rollout: Rollout, service: PredictionService) -> RollingOut | None:
    """Bring the service to the rollout's step, and to the next one when this one has lasted; None when it is over.

    Raises: RefusedError: the version may not go on: a guardrail was broken, or its decisions cost more.
        TransientError: service, database or store are away. DataError: the version cannot be served.
    """
    demand_not_stopped(rollout, service)
    service.attempt(rollout.previous, rollout.plan())
    seen = _look(context, rollout, service)
    waits_for = _waits_for(rollout, seen, context.problem.serving)
    if not waits_for:
        if rollout.order == "finish" or rollout.step + 1 == len(rollout.shares):
            return None
        rollout = _next(context, rollout, service)
        service.attempt(rollout.previous, rollout.plan())
        seen = Seen(0, seen.comparison, 0.0)
        waits_for = _waits_for(rollout, seen, context.problem.serving) or "a first look"
    return _told(context.problem.serving, rollout, seen, waits_for)


def demand_not_stopped(rollout: Rollout, service: PredictionService) -> None:
    """Raises: RefusedError: the service ended this rollout by itself."""
    stopped = (service.rollout() or {}).get("stopped")
    if stopped and stopped["plan"] == rollout.id:
        raise RefusedError(f"The service stopped it at {stopped['at']}: {stopped['why']}")


def _look(context: Context, rollout: Rollout, service: PredictionService) -> Seen:
    """Raises: RefusedError: the decisions of the new version cost more than they may."""
    policy = context.problem.serving
    minutes = (datetime.now(UTC) - rollout.began).total_seconds() / 60
    seen = service.rollout() or {}
    level, margin = (policy.ab.level, 0.0) if rollout.mode == "ab" else (policy.guardrails.false_alarms, policy.guardrails.cost)
    comparison = _compare(context, rollout, level, margin) if rollout.share else None
    if comparison is not None and comparison.worse:
        raise RefusedError(f"guardrail cost: {comparison.sentence}.")
    return Seen(int(seen.get("requests_in_step", 0)), comparison, minutes)


def _compare(context: Context, rollout: Rollout, level: float, margin: float) -> Comparison | None:
    """Labels that cannot be read say nothing about the new version."""
    try:
        return outcomes.outcome(context, rollout, level=level, margin=margin)
    except DataError as error:
        log.warning("what the decisions cost cannot be told: %s", error)
        return None


def _waits_for(rollout: Rollout, seen: Seen, policy: Serving) -> str:
    """What is missing before the next step; empty when nothing is."""
    if rollout.order == "hold":
        return "somebody to resume it"
    if rollout.order == "finish":
        return ""
    if rollout.mode == "ab":
        over = (seen.comparison is not None and seen.comparison.better) or seen.minutes >= policy.ab.hours * 60
        return "" if over else f"a plain difference, at most {policy.ab.hours:g} hours"
    if seen.minutes < policy.hold_minutes:
        return f"{policy.hold_minutes:g} minutes of this step"
    if seen.requests < policy.step_requests and seen.minutes < policy.step_hours * 60:
        return f"{policy.step_requests:,} requests, at most {policy.step_hours:g} hours"
    return ""


def _next(context: Context, rollout: Rollout, service: PredictionService) -> Rollout:
    name, ledger = context.problem.name, context.ledger
    later = Rollout(**vars(rollout) | {"step": rollout.step + 1, "began": datetime.now(UTC)})
    _write(ledger, name, later, "deploy", service.rollout() or {})
    found = under_way(ledger.entries(name))
    assert found is not None, "its step was just written"  # noqa: S101
    return found


def _write(ledger: Ledger, problem: str, rollout: Rollout, actor: str, seen: dict[str, Any]) -> None:
    """Write a step down; the first who does so decides when it began."""
    version = rollout.challenger
    body = {
        "mode": rollout.mode,
        "shares": rollout.shares,
        "step": rollout.step,
        "began": rollout.began.isoformat(),
        "previous": list(rollout.previous[:3]),
        "seen_before": {name: seen[name] for name in ("requests", "p50_p99_ms", "guardrails") if name in seen},
    }
    key = f"{rollout.id}, step {rollout.step}"
    ledger.append(problem, story.STEP, key=key, actor=actor, version=version.version, run_key=version.run_key, body=body)


def _obey(context: Context, rollout: Rollout, asked: Asked) -> Rollout:
    """Write down what a person asked for, once however often this run looks; the last order counts.

    Raises: ConfigError: another kind of rollout than the one that is under way.
    """
    if asked.mode not in (None, rollout.mode, "direct"):
        raise ConfigError(
            f"Version {rollout.challenger.version} is rolled out as {rollout.mode} already. Finish or roll it back."
        )
    order = "finish" if asked.mode == "direct" else asked.order
    if order is None:
        return rollout
    context.ledger.append(
        context.problem.name,
        story.ORDER,
        key=f"{rollout.id}, {context.run_key} {order}",
        actor=asked.actor,
        version=rollout.challenger.version,
        run_key=rollout.challenger.run_key,
        body={"order": order, "comment": asked.comment},
    )
    return under_way(context.ledger.entries(context.problem.name)) or rollout


def _told(policy: Serving, rollout: Rollout, seen: Seen, waits_for: str) -> RollingOut:
    left_s = policy.hold_minutes * 60 - seen.minutes * 60
    return RollingOut(
        version=rollout.challenger.version,
        previous=rollout.previous.version,
        mode=rollout.mode,
        step=rollout.step + 1,
        num_steps=len(rollout.shares),
        share=rollout.share,
        requests=seen.requests,
        held=rollout.order == "hold",
        waits_for=waits_for,
        outcome=seen.comparison.sentence if seen.comparison and seen.comparison.num_pairs else "",
        check_after_s=min(max(left_s, SOONEST_S), LATEST_S),
    )
