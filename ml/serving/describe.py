"""What the service says about itself."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

from ml.serving.live import LiveModel
from ml.serving.loaded import Model
from ml.serving.log import Counts


def health(live: Mapping[str, LiveModel], broken: Mapping[str, str], logs: Mapping[str, Counts], ledger: str) -> dict[str, Any]:
    """Everything a person on call asks first; `complaints` is empty when all is well.

    Args:
        logs: rows of the request log, `log`, and of what people told, `feedback`.
    """
    complaints = [f"problem {name}: {why}" for name, why in broken.items()]
    complaints += [f"ledger: {ledger}"] if ledger else []
    for name, counts in logs.items():
        what = {"log": "request log"}.get(name, name)
        complaints += [f"{what}: {counts['error']}"] if counts["error"] else []
        complaints += [f"{what}: {counts['dropped']} rows dropped"] if counts["dropped"] else []
    for name, one in live.items():
        complaints += [f"{name}: {why}" for why in (one.complaint, one.note_complaint) if why]
    return {
        "status": "complaints" if complaints else "ok",
        "complaints": complaints,
        "problems": {name: short(one) for name, one in live.items()},
        **logs,
        "pid": os.getpid(),
    }


def together(told: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What the workers say of themselves as one; the first is the one that was asked, and its rows are those of all."""
    complaints = list(dict.fromkeys(complaint for one in told for complaint in one["complaints"]))
    return told[0] | {
        "status": "complaints" if complaints else "ok",
        "complaints": complaints,
        "workers": sorted(one["pid"] for one in told),
    }


def with_access(told: dict[str, Any], access: Mapping[str, Any], complaint: str) -> dict[str, Any]:
    """What is said of health, with who is let in."""
    complaints = [*told["complaints"], *([f"access: {complaint}"] if complaint else [])]
    return told | {"status": "complaints" if complaints else "ok", "complaints": complaints, "access": access}


def short(live: LiveModel) -> dict[str, Any]:
    """Which version of a problem answers."""
    state = live.state
    return {
        "problem": live.problem.name,
        "state": "serving" if state.current else "no model yet",
        "version": state.current.id.version if state.current else None,
        "run_key": state.current.id.run_key if state.current else None,
        "model_digest": state.current.id.model_digest if state.current else None,
        "since": state.current.since.isoformat() if state.current else None,
        "origin": state.current.origin if state.current else None,
        "previous": state.previous.id.version if state.previous else None,
        "rollout": rollout(live),
    }


def rollout(live: LiveModel) -> dict[str, Any] | None:
    """What is tried beside the version that serves and how that goes, or why the last one was stopped; None when neither."""
    trial, stopped = live.state.trial, live.stops.last
    if trial is None and stopped is None:
        return None
    told: dict[str, Any] = {"stopped": stopped.model_dump(mode="json") if stopped else None, "plan": None}
    return told | (trial.progress() | {"plan": trial.plan.model_dump(mode="json")} if trial else {})


def rollout_together(told: Sequence[dict[str, Any] | None]) -> dict[str, Any] | None:
    """What the workers say of a rollout as one: requests added up, the slowest times, of each guardrail the worst."""
    first = next((one for one in told if one is not None), None)
    counted = [one for one in told if one is not None and one["plan"]]
    if first is None or not counted:
        return first
    arms = sorted({arm for one in counted for arm in one["requests"]})
    times = {arm: [one["p50_p99_ms"][arm] for one in counted if arm in one["p50_p99_ms"]] for arm in arms}
    worst: dict[str, dict[str, Any]] = {}
    for rail in (rail for one in counted for rail in one["guardrails"]):
        known = worst.get(rail["rule"])
        if known is None or (_worse(rail), rail["value"]) > (_worse(known), known["value"]):
            worst[rail["rule"]] = rail
    return counted[0] | {
        "requests_in_step": sum(one["requests_in_step"] for one in counted),
        "requests": {arm: sum(one["requests"][arm] for one in counted) for arm in arms},
        "skipped": sum(one["skipped"] for one in counted),
        "p50_p99_ms": {arm: [max(pair) for pair in zip(*found, strict=True)] for arm, found in times.items() if found},
        "guardrails": list(worst.values()),
    }


def _worse(rail: dict[str, Any]) -> int:
    return [None, True, False].index(rail["holds"])


def full(live: LiveModel) -> dict[str, Any]:
    """What a client needs to know to ask."""
    about = live.problem.problem
    model = live.state.current
    asked = {"title": about.title, "description": about.description, "owner": about.owner, "positive": about.positive}
    none: dict[str, Any] = {"columns": {}, "task": about.task, "outputs": [], "thresholds": [], "example": None}
    return short(live) | asked | (_columns(model) if model else none)


def _columns(model: Model) -> dict[str, Any]:
    return {
        "columns": {name: feature.type for name, feature in model.scorer.columns.items()},
        "task": model.scorer.task,
        "outputs": list(model.scorer.outputs),
        "thresholds": list(model.scorer.thresholds),
        "example": {"rows": model.scorer.example["rows"][:1]},
    }
