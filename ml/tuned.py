"""Settings that a search has found for a problem: kept beside its runs, used while the problem file stays as it was."""

import hashlib
import json
from typing import Any

from ml.context import Context
from ml.problem import Problem, Training

FILE = "tuned.json"


def due(context: Context, *, asked: bool) -> bool:
    """Whether this run searches before it trains: somebody asked, it does so every night, or the problem is new."""
    tune = context.problem.tune
    return asked or tune.nightly or (tune.first and context.ledger.champion(context.problem.name) is None)


def keep(context: Context, values: dict[str, Any], *, trial: int) -> None:
    """Let later trainings use these values of [training]."""
    content = {"base": base(context.problem), "values": values, "run_key": context.run_key, "trial": trial}
    context.store.write_json(FILE, content)


def training(context: Context) -> Training:
    """[training] of the problem with what a search has found; as the file says when it has changed since."""
    if not context.store.exists(FILE):
        return context.problem.training
    held = context.store.read_json(FILE)
    if held["base"] != base(context.problem):
        return context.problem.training
    return Training.model_validate(context.problem.training.model_dump(mode="json") | held["values"])


def base(problem: Problem) -> str:
    """Names what a search started from: the settings, and the question they were found for."""
    told = [problem.training.model_dump(mode="json"), problem.problem.task, problem.source.label, sorted(problem.features)]
    told += [problem.problem.classes]
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
