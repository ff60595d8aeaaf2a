"""What the decisions of two versions cost, as far as labels have come."""

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ml import requests
from ml.context import Context
from ml.labels import known_labels
from ml.problem import TASKS, Problem
from ml.rollout import Comparison, Rollout, compare, paired

Floats = npt.NDArray[np.float64]
INSTANT = timedelta(microseconds=1)  # a replayed clock stands still while requests come


def bound(problem: Problem) -> float | None:
    """The most that one decision can cost; None where answers are numbers, which decide nothing by themselves."""
    if TASKS[problem.problem.task].label == "number":
        return None
    cost = problem.success.cost
    return max(cost.false_positive, cost.false_negative) if problem.problem.task == "binary" else 1.0


def outcome(context: Context, rollout: Rollout, *, level: float, margin: float) -> Comparison | None:
    """Compare what decisions cost since the rollout began; None where answers are numbers.

    An outcome is a request: its labelled rows' mean cost. The requests of an entity hang together, so each first key counts
    once, by its first request.

    Raises: TransientError: the database or the store is away.
    """
    most, problem = bound(context.problem), context.problem
    if most is None:
        return None
    now = context.settings.now()
    served = requests.read(context.settings.database_url, problem.name, rollout.since, now + INSTANT)
    both = pa.array([rollout.previous.version, rollout.challenger.version])
    keyed = served.filter(pc.and_(pc.is_valid(served["key"]), pc.is_in(served["version"], both)))
    labels = known_labels(context, pc.unique(keyed["key"]), rollout.since, now)
    costs = _by_version(keyed, labels, problem)
    champion, challenger = (costs.get(one.version, np.zeros(0)) for one in (rollout.previous, rollout.challenger))
    return compare(paired(champion, challenger, rollout.share), most, level=level, margin=margin)


def cost(problem: Problem, decision: Any, label: Any) -> float:
    """Of one decision, in units of [success] cost; a wrong class or, of several labels, the share of wrong ones, is 1."""
    if problem.problem.task == "binary":
        unit = problem.success.cost
        return float(unit.false_positive * (decision and not label) + unit.false_negative * (not decision and bool(label)))
    if problem.problem.task == "multiclass":
        return float(problem.outputs[int(np.argmax(label))] != decision)
    return float(np.mean([(name in decision) != bool(holds) for name, holds in zip(problem.outputs, label, strict=True)]))


def _by_version(rows: pa.Table, labels: dict[str, Floats], problem: Problem) -> dict[int, Floats]:
    """Cost of each request, by version, in the order in which the requests' labels became known."""
    places = {key: place for place, key in enumerate(labels)}
    found: dict[str, tuple[int, int, list[float]]] = {}  # by request: version, place of the newest label, costs
    seen: set[str] = set()
    for version, request, position, key, decision in _decisions(rows):
        if position == 0 and key in seen:
            continue
        if position == 0:
            seen.add(key)
            found[request] = (version, -1, [])
        if request in found and key in places:
            _, newest, costs = found[request]
            found[request] = (version, max(newest, places[key]), [*costs, cost(problem, decision, labels[key])])
    ordered = sorted((newest, request, version, np.mean(costs)) for request, (version, newest, costs) in found.items() if costs)
    versions = {version for _, _, version, _ in ordered}
    return {one: np.array([mean for _, _, version, mean in ordered if version == one], np.float64) for one in versions}


def _decisions(rows: pa.Table) -> Iterator[tuple[int, str, int, str, Any]]:
    """Version, request, position, key and decision of each row, oldest first."""
    columns = [rows[name].to_pylist() for name in ("version", "request_id", "position", "key", "decision", "several")]
    for version, request, position, key, decision, several in zip(*columns, strict=True):
        yield version, request, position, key, json.loads(several)["decision"] if several else decision
