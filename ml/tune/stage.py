"""The stage: trials under a budget, resumed after a kill; the best settings are used when they are better for sure enough."""

import logging
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ml import apart, metrics, snapshot, tuned
from ml.context import Context
from ml.errors import DataError
from ml.problem import Problem, Training
from ml.records import FoldScores, Prepared, Tuned
from ml.train import protocol
from ml.tune import curves, explore, ladder, search
from ml.tune.explore import Exploration
from ml.tune.trial import Trial

log = logging.getLogger(__name__)
TRIALS, PLOT = "trials.json", "ladder.png"
MINUTE = 60.0


def run(context: Context) -> Tuned:
    """Search on the frozen rows of the run; what was tried before a kill is not tried again.

    Raises:
        DataError: the present settings cannot be judged. TransientError: MLflow is away; the trials are kept.
    """
    prepared, about = context.record(Prepared), context.problem
    inputs = [
        prepared.rows_digest,
        about.tune.model_dump(mode="json"),
        about.training.model_dump(mode="json"),
        about.success.metric,
        about.outputs,
    ]
    return context.once(Tuned, inputs, lambda: _tune(context))


@dataclass(frozen=True)
class Judge:
    """Judges settings over the present ones by the run's folds, each time in a process of its own."""

    folder: Path
    problem: Problem
    present: Training

    def __call__(self, values: dict[str, Any], seconds: float) -> FoldScores:
        """Raises: TimeoutError, TransientError, DataError: the trial took too long, was killed, or cannot learn."""
        return apart.run(protocol.judge_alone, self.folder, self.problem, settings(self.present, values), seconds=seconds)


def settings(present: Training, values: dict[str, Any]) -> Training:
    """[training] with other values."""
    return Training.model_validate(present.model_dump(mode="json") | values)


def _tune(context: Context) -> Tuned:
    tune, sign = context.problem.tune, metrics.better(context.problem.success.metric)
    present, kept = _begun(context)
    exploration = Exploration(kept, seconds=MINUTE * tune.budget_minutes, keep=lambda trials: _keep(context, present, trials))
    with tempfile.TemporaryDirectory(prefix="folds-") as folder:
        apart.run(protocol.write, Path(folder), snapshot.frozen(context), context.problem)
        judge = Judge(Path(folder), context.problem, present)
        exploration.walk("present", explore.present(), judge, sign=sign)
        if tune.ladder:
            exploration.walk("ladder", ladder.plan(exploration.trials, present), judge, sign=sign)
        exploration.walk("search", search.plan(tune), judge, sign=sign, most=tune.trials - 1)
    trials = exploration.trials
    if tune.ladder:
        with context.store.replacing(context.name(PLOT)) as path:
            curves.draw(path, [trial for trial in trials if trial.kind == "ladder"])
    shown = [_shown(trial, present) for trial in trials]
    context.registry.log_trials(context.problem.name, context.run_key, shown, at=context.settings.now())
    return _choose(context, trials, present, sign)


def _begun(context: Context) -> tuple[Training, list[Trial]]:
    """The settings to be bettered, and the trials of an earlier try of this run on the same rows."""
    if context.store.exists(context.name(TRIALS)):
        held = context.store.read_json(context.name(TRIALS))
        if held["over"] == _over(context):
            return Training.model_validate(held["present"]), [Trial.model_validate(trial) for trial in held["trials"]]
    return tuned.training(context), []


def _keep(context: Context, present: Training, trials: list[Trial]) -> None:
    told = [trial.model_dump(mode="json") for trial in trials]
    content = {"over": _over(context), "present": present.model_dump(mode="json"), "trials": told}
    context.store.write_json(context.name(TRIALS), content)


def _over(context: Context) -> dict[str, Any]:
    """What every trial rests on; the present settings stand beside it, since a search changes them at its end."""
    rows, about = context.record(Prepared).rows_digest, context.problem
    return {"rows": rows, "metric": about.success.metric, "base": tuned.base(about)}


def _choose(context: Context, trials: list[Trial], present: Training, sign: int) -> Tuned:
    """The best trial, used when it is ahead of the present settings by more than the noise of that difference."""
    first, judged = trials[0], [trial for trial in trials if trial.scores]
    if first.scores is None:
        raise DataError(f"The present settings could not be judged, so nothing can be compared with them: {first.failure}")
    best = max(judged, key=lambda trial: sign * trial.scores.value if trial.scores else -np.inf)
    assert best.scores is not None  # noqa: S101 - for the type checker: only judged trials are looked at
    gain, noise = sign * (best.scores.value - first.scores.value), noise_of(best.scores, first.scores)
    used = best is not first and gain > (noise or 0.0)
    if used:
        tuned.keep(context, settings(present, best.values).model_dump(mode="json"), trial=best.number)
    record = Tuned(
        trials=len(trials),
        failed=len(trials) - len(judged),
        best=best.number,
        kind=best.kind,
        values=best.values,
        metric=best.scores.metric,
        value=best.scores.value,
        present=first.scores.value,
        gain=gain,
        noise=noise,
        used=used,
        seconds=round(sum(trial.seconds for trial in trials), 1),
    )
    log.info("tune: %s", record.sentence)
    return record


def noise_of(one: FoldScores, other: FoldScores) -> float | None:
    """Standard error of the difference of two settings that the same folds judged.

    Several folds share rows that teach, so their plain standard error is too small: Nadeau and Bengio 2003. Of one fold the
    jackknife over its days.
    """
    differences = np.array(one.scores) - np.array(other.scores)
    size = len(differences)
    if size == 1:
        return protocol.jackknife(np.array(one.left_out) - np.array(other.left_out))
    return float(np.std(differences, ddof=1) * np.sqrt(1 / size + 1 / (size - 1)))


def _shown(trial: Trial, present: Training) -> dict[str, Any]:
    """A trial as MLflow shows it."""
    scores = trial.scores
    found = {f"validation/{scores.metric}": scores.value, "num_parameters": scores.num_parameters} if scores else {}
    found |= {"validation/deviation": scores.deviation} if scores and scores.deviation is not None else {}
    return {
        "number": trial.number,
        "params": settings(present, trial.values).model_dump(mode="json"),
        "metrics": found | {"seconds": trial.seconds},
        "history": {f"epoch/{name}": values for name, values in scores.history.items()} if scores else {},
        "tags": {"kind": trial.kind} | ({"failure": trial.failure} if trial.failure else {}),
    }
