"""What happens in the training's own process: fit, choose thresholds, export, prove that the export answers alike."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ml import exports, features, metrics
from ml.apart import Tell
from ml.errors import ConfigError, DataError
from ml.features import Encoding, columns, encoder
from ml.problem import Problem, Training
from ml.records import Exported
from ml.scoring import Scorer
from ml.snapshot import CHECKPOINTS, CURVES, WEIGHTS
from ml.train import curves, export, fit, machine, missing, private, warm
from ml.train.checkpoint import Checkpoint
from ml.train.learner import Arrays, Learner

if TYPE_CHECKING:
    import keras

EXPORT_TOLERANCE = 1e-6  # in probability, or in standard deviations of the training labels
EXPORT_ROWS = 10_000
TAKEN_OVER = "the champion's weights"


@dataclass(frozen=True)
class Champion:
    """Where to begin: the weights and the encoding of the model that serves."""

    run_key: str
    weights: Path
    encoding: Encoding


@dataclass(frozen=True)
class Job:
    """All that a training needs, so that its process asks nobody.

    Attributes:
        parts: encoded rows of `train`, `validation`, `test`.
        rows: raw rows, the first of the test part, in its order.
        model: folder to write the exported model to.
        scratch: folder for everything else; checkpoints that lie there are gone on from.
        inputs: names what is learned from, so that no checkpoint of something else is taken.
        key: of the noise of a private training.
    """

    problem: Problem
    run_key: str
    encoding: Encoding
    parts: dict[str, Arrays]
    rows: pa.Table
    model: Path
    scratch: Path
    inputs: str
    champion: Champion | None = None
    key: int = 0


@dataclass(frozen=True)
class Outcome:
    """What came of it, beside the files; `started` says what the first weights were, `began_from` is the run they are of.

    `cpu_seconds` and `row_epochs` (rows times epochs) are of all fits together.
    `validation` holds the answers to the validation part, shape (n,) or (n, k), of the network that has not learned from it.
    """

    validation: npt.NDArray[np.float64]
    history: dict[str, list[float]]
    best_epoch: int
    num_parameters: int
    exports: tuple[Exported, ...]
    started: str
    began_from: str
    made_on: dict[str, str]
    cpu_seconds: float
    row_epochs: int
    epsilon: float | None = None


def work(job: Job, tell: Tell) -> Outcome:
    """Train and export; tells {"epoch": ...} after every epoch, {"checkpoint": name} when one was written, {} when alive.

    Raises:
        ConfigError: the delta of differential privacy promises nothing for so few rows.
        DataError: the loss is not finite, or the exported model answers differently.
    """
    training = job.problem.training
    _refuse_large_delta(training, len(job.parts["train"]["label"]))
    machine.settle(training.threads)
    learner, started = _begin(job, job.parts["train"], job.parts["validation"], training)
    fitted = fit.learn(learner, tell, checkpoint=_checkpoint(job, CHECKPOINTS[0], tell), alive=lambda: tell({}))
    validation = job.parts["validation"]
    answers = fit.predict(fitted.model, validation)  # before it learns from these rows too
    thresholds = _thresholds(job.problem, validation["label"], answers)
    last, history, fits = learner, fitted.history, [(learner, fitted)]
    if training.refit:
        last, again = _refitted(job, fitted.best_epoch, tell)
        history, fits = history | {"refit_loss": again.history["loss"]}, [*fits, (last, again)]
    warm.save(job.scratch / WEIGHTS, last.model)
    curves.write(job.scratch / CURVES, history)
    exported = _export(job, last.model, last.start.scale, thresholds)
    return Outcome(
        validation=answers,
        history=history,
        best_epoch=fitted.best_epoch,
        num_parameters=fitted.model.count_params(),
        exports=exported,
        started=started,
        began_from=job.champion.run_key if job.champion and started == TAKEN_OVER else "",
        made_on=machine.about(training.threads),
        cpu_seconds=round(sum(done.cpu_s for _, done in fits), 3),
        row_epochs=sum(one.num_rows * done.num_epochs for one, done in fits),
        epsilon=private.epsilon(training.dp, [one.looks(done.num_epochs) for one, done in fits]) if training.dp.noise else None,
    )


def _checkpoint(job: Job, name: str, tell: Tell) -> Checkpoint:
    checkpoint = Checkpoint(job.scratch / name, job.inputs, job.problem.training.checkpoint_seconds)
    checkpoint.saved = lambda: tell({"checkpoint": name})
    return checkpoint


def _refuse_large_delta(training: Training, num_rows: int) -> None:
    if training.dp.noise and training.dp.delta * num_rows >= 1:
        raise ConfigError(
            f"[training] dp.delta = {training.dp.delta:g} would let one of {num_rows:,} training rows be told outright. Write "
            f"less than 1 / rows, such as {0.1 / num_rows:.0e}."
        )


def _refitted(job: Job, epochs: int, tell: Tell) -> tuple[Learner, fit.Fitted]:
    """The learner that has learned from the validation part too, and what it came to.

    Early stopping has found the number of epochs; the newest rows then teach like the others (Chollet, Deep Learning with
    Python, 5.4). After a kill the fit before it is gone on from first, and so gives the same number of epochs.
    """
    train, validation = job.parts["train"], job.parts["validation"]
    both = {name: np.concatenate([array, validation[name]]) for name, array in train.items()}
    learner, _ = _begin(job, both, None, job.problem.training.model_copy(update={"epochs": epochs}))
    return learner, fit.learn(learner, tell, checkpoint=_checkpoint(job, CHECKPOINTS[1], tell), alive=lambda: tell({}))


def _begin(job: Job, train: Arrays, validation: Arrays | None, training: Training) -> tuple[Learner, str]:
    """The learner, and in words where it begins."""
    if training.missing_copies:
        train = missing.with_copies(train, job.encoding, training.missing_copies, seed=training.seed)
    sizes, key = encoder.sizes(job.encoding), job.key if validation else job.key + 1  # every fit has noise of its own
    learner = fit.begin(train, validation, sizes=sizes, task=job.problem.problem.task, training=training, key=key)
    if not training.warm_start:
        return learner, "random weights"
    if job.champion is None:
        return learner, "random weights: there is no champion with weights to begin with"
    why = warm.take_over(learner.model, job.encoding, job.champion.weights, job.champion.encoding)
    if why:
        return learner, f"random weights: the champion does not fit, {why}"
    learner.resume()
    return learner, TAKEN_OVER


def _export(job: Job, model: "keras.Model", scale: npt.NDArray[np.float64], thresholds: list[float]) -> tuple[Exported, ...]:
    """Write the model folder and prove its answers; tells of the SavedModel, which is compared with the network, then the others.

    Raises: DataError: the SavedModel answers otherwise than the network did.
    """
    plan, size = features.layout(job.encoding), job.rows.num_rows
    test = {name: array[:size] for name, array in job.parts["test"].items()}
    example = export.typical(job.encoding)
    export.write(job.model, model, job.encoding, about=_about(job, thresholds))
    export.write_example(job.model, example, fit.predict(model, columns.encode(example, plan)))
    rows = job.rows.select(list(job.encoding.features))
    answers = Scorer.load(job.model, reference=True).score(rows)
    check = exports.Check(rows, answers, scale, _quality(job.problem, test["label"]), job.problem.serving.export_tolerance)
    if not (difference := check.difference(fit.predict(model, test))) <= EXPORT_TOLERANCE:
        raise DataError(
            f"The exported model differs from the trained one by {difference:.2e} on raw rows (allowed "
            f"{EXPORT_TOLERANCE:.0e}). Encoding while training and inside the model must be the same code."
        )
    made = exports.make(job.model, model, plan, serving=job.problem.serving, check=check, representative=job.parts["train"])
    return (made[0].model_copy(update={"difference": difference, "tolerance": EXPORT_TOLERANCE}), *made[1:])


def _quality(problem: Problem, labels: npt.NDArray[Any]) -> Callable[[npt.NDArray[np.float64]], float | None]:
    """The problem's metric of answers to the rows of `labels`; None where it is not defined."""

    def quality(answers: npt.NDArray[np.float64]) -> float | None:
        value = metrics.metric(problem.success.metric, labels.astype(np.float64), answers)
        return value if np.isfinite(value) else None

    return quality


def _about(job: Job, thresholds: list[float]) -> dict[str, Any]:
    """What stands beside the model, for whoever serves it."""
    problem = job.problem
    return {
        "problem": problem.name,
        "run_key": job.run_key,
        "task": problem.problem.task,
        "outputs": list(problem.outputs),
        "thresholds": thresholds,
        "redact": problem.privacy.redact,  # what its rows went through, so that the service does the same
    }


def _thresholds(problem: Problem, known: npt.NDArray[Any], answers: npt.NDArray[np.float64]) -> list[float]:
    """The cheapest threshold of every output that decides yes or no, on the validation part."""
    if not problem.task.decides:
        return []
    size, cost = len(known), problem.success.cost
    labels, scores = known.astype(np.float64).reshape(size, -1), answers.reshape(size, -1)
    return [
        metrics.cheapest_threshold(
            labels[:, place], scores[:, place], false_positive=cost.false_positive, false_negative=cost.false_negative
        )
        for place in range(labels.shape[1])
    ]
