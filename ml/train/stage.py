"""The stage: train in a process of its own, keep what it made, score the models to beat."""

import hashlib
import json
import logging
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ml import apart, metrics, snapshot, tuned
from ml.context import Context
from ml.features import Encoding, encoder
from ml.problem import Problem
from ml.records import FoldScores, Prepared, Trained
from ml.snapshot import CHECKPOINTS, CURVES, ENCODING, HISTORY, MODEL, NOISE, PROBLEM, PROGRESS, WEIGHTS
from ml.store import digest
from ml.train import baselines, job, private, protocol
from ml.train.learner import Arrays

log = logging.getLogger(__name__)


def run(context: Context) -> Trained:
    """Train on the frozen rows of the run; a training that was killed goes on from its last checkpoint.

    Raises:
        DataError: the loss is not finite, the exported model answers differently, or a limit of the watchdog was passed.
        TransientError: the training stood still, or was killed.
    """
    prepared = context.record(Prepared)
    about = context.problem.model_copy(update={"training": tuned.training(context)})
    context = replace(context, problem=about)
    inputs = [
        prepared.rows_digest,
        digest(context.file(ENCODING)),
        learned_from(about.training.model_dump()),
        about.success.model_dump(),
        about.problem.task,
        about.outputs,
        about.serving.model_dump(include={"targets", "export_tolerance", "pruned_share"}),
    ]
    return context.once(Trained, inputs, lambda: _train(context, prepared.rows_digest))


def learned_from(training: dict[str, Any]) -> dict[str, Any]:
    """The settings that decide what comes out; when to save and when to give up do not."""
    return {name: value for name, value in training.items() if name not in ("watchdog", "checkpoint_seconds")}


def _train(context: Context, rows_digest: str) -> Trained:
    snapshot.refuse_to_replace(context)
    started = time.monotonic()
    context.store.write_json(context.name(PROBLEM), context.problem.model_dump(mode="json"))
    parts = {part: snapshot.arrays_of(context, part) for part in snapshot.PARTS}
    outcome = _fit(context, parts, rows_digest)
    context.store.write_json(context.name(HISTORY), outcome.history)
    judged = _protocol(context) or _holdout(context, parts["validation"]["label"], outcome)
    baselines.write(context, encoder.sizes(snapshot.encoding_of(context)))
    log.info("train: began with %s, best epoch %d of %d", outcome.started, outcome.best_epoch, len(outcome.history["loss"]))
    return Trained(
        model_digest=digest(context.file(MODEL)),
        rows_digest=rows_digest,
        num_parameters=outcome.num_parameters,
        epochs=len(outcome.history["loss"]),
        best_epoch=outcome.best_epoch,
        validation_loss=min(outcome.history["val_loss"]),
        training=context.problem.training.model_dump(mode="json"),
        protocol=judged,
        export_difference=outcome.exports[0].difference or 0.0,
        exports=outcome.exports,
        started=outcome.started,
        began_from=outcome.began_from,
        made_on=outcome.made_on,
        epsilon=outcome.epsilon,
        delta=None if outcome.epsilon is None else context.problem.training.dp.delta,
        seconds=round(time.monotonic() - started, 2),
        cpu_seconds=outcome.cpu_seconds,
        row_epochs=outcome.row_epochs,
    )


def _fit(context: Context, parts: dict[str, Arrays], rows_digest: str) -> job.Outcome:
    """The training in its own process; what it made is in the store afterwards."""
    encoding, champion = snapshot.encoding_of(context), _champion(context)
    inputs = job_digest(context.problem, encoding, rows_digest, champion)
    with tempfile.TemporaryDirectory(prefix="training-") as folder, context.store.replacing(context.name(MODEL)) as model:
        scratch = Path(folder)
        for name in CHECKPOINTS:
            if context.store.exists(context.name(name)):
                (scratch / name).write_bytes(context.store.read(context.name(name)))
        asked = job.Job(
            problem=context.problem,
            run_key=context.run_key,
            encoding=encoding,
            parts=parts,
            rows=snapshot.rows_of(context, "test").slice(0, job.EXPORT_ROWS),
            model=model,
            scratch=scratch,
            inputs=inputs,
            champion=champion,
            key=_key(context, inputs),
        )
        watchdog = context.problem.training.watchdog
        outcome = apart.run(job.work, asked, watchdog=watchdog, told=_listener(context, scratch))
        context.store.write(context.name(WEIGHTS), (scratch / WEIGHTS).read_bytes())
        with context.store.replacing(context.name(CURVES)) as curves:
            shutil.copytree(scratch / CURVES, curves)
    for name in CHECKPOINTS:
        context.store.delete(context.name(name))
    return outcome


def _key(context: Context, inputs: str) -> int:
    """Of the noise of a private training: drawn once, and not used for another, since the noise would cancel between the two."""
    if not context.problem.training.dp.noise:
        return 0
    held = context.store.read_json(context.name(NOISE)) if context.store.exists(context.name(NOISE)) else {}
    if held.get("inputs") != inputs:
        held = {"inputs": inputs, "key": private.draw_key()}
        context.store.write_json(context.name(NOISE), held)
    return int(held["key"])


def job_digest(problem: Problem, encoding: Encoding, rows_digest: str, champion: job.Champion | None) -> str:
    """Names a training by what it works from."""
    told: list[Any] = [learned_from(problem.training.model_dump()), problem.problem.task, problem.outputs]
    told += [encoding.model_dump(mode="json"), rows_digest]
    told += [digest(champion.weights)] if champion else []
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def _protocol(context: Context) -> FoldScores | None:
    """The validation score by every fold, in a process of its own; nothing where the protocol has one fold, the holdout."""
    if context.record(Prepared).num_folds == 1:
        return None
    with tempfile.TemporaryDirectory(prefix="folds-") as folder:
        judged = apart.run(protocol.whole_alone, Path(folder), snapshot.frozen(context), context.problem)
    log.info("train: %s %.4f over %d folds, deviation %.4f", judged.metric, judged.value, len(judged.scores), judged.deviation)
    return judged


def _holdout(context: Context, known: npt.NDArray[Any], outcome: job.Outcome) -> FoldScores | None:
    """What the trained network reached on the validation part, its one fold, and how sure that is; nothing of an output that
    is the same in all rows.
    """
    metric, labels = context.problem.success.metric, known.astype(np.float64)
    if not np.isfinite(value := metrics.metric(metric, labels, outcome.validation)):
        return None
    left_out = protocol.left_out(metric, labels, outcome.validation, protocol.days_of(snapshot.rows_of(context, "validation")))
    return FoldScores(
        metric=metric,
        scores=(value,),
        value=value,
        deviation=protocol.jackknife(left_out),
        left_out=left_out,
        epochs=(outcome.best_epoch,),
        history={name: outcome.history[name] for name in ("loss", "val_loss")},
        num_parameters=outcome.num_parameters,
    )


def _listener(context: Context, scratch: Path) -> Callable[[Any], None]:
    """Hands on what the other process tells: to the log, to whoever looks at the run's folder, to the next try."""

    def told(content: dict[str, Any]) -> None:
        if "epoch" in content:
            context.store.write_json(context.name(PROGRESS), content)
            judged = f"validation loss {content['validation_loss']:.4f}" if "validation_loss" in content else "refit"
            log.info("train: epoch %(epoch)d/%(epochs)d loss %(loss).4f %(judged)s", content | {"judged": judged})
        elif "checkpoint" in content:
            context.store.write(context.name(content["checkpoint"]), (scratch / content["checkpoint"]).read_bytes())

    return told


def _champion(context: Context) -> job.Champion | None:
    """The champion's weights, where the training is to begin with them and they are there."""
    found = context.ledger.champion(context.problem.name) if context.problem.training.warm_start else None
    if found is None:
        return None
    run = context.of_run(found.run_key)
    if not (run.store.exists(run.name(WEIGHTS)) and run.store.exists(run.name(ENCODING))) or snapshot.other_question(run):
        return None
    return job.Champion(found.run_key, run.file(WEIGHTS), snapshot.encoding_of(run))
