"""Fitting: early stopping on the validation part, progress that others can follow, a stop at the first NaN."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ml import models
from ml.errors import DataError
from ml.problem import Training
from ml.train import private
from ml.train.checkpoint import Checkpoint, State
from ml.train.learner import ROWS, Arrays, Learner

if TYPE_CHECKING:
    import keras

Progress = Callable[[dict[str, float]], None]


@dataclass(frozen=True)
class Fitted:
    """A network with its best weights and the losses of every epoch, `loss` and `val_loss`.

    `cpu_s`: CPU seconds of the epochs, those before a kill included. A busy machine stretches them far less than the clock.
    """

    model: "keras.Model"
    history: dict[str, list[float]]
    best_epoch: int
    cpu_s: float

    @property
    def num_epochs(self) -> int:
        """How many there were, the last ones that brought nothing included."""
        return len(self.history["loss"])


def fit(
    train: Arrays, validation: Arrays | None, *, sizes: dict[str, Any], task: str, training: Training, progress: Progress
) -> Fitted:
    """Train until the validation loss stops falling; the best epoch's weights are kept.

    A search passes other values of `training`: layers, embedding, dropout, l2, learning_rate, batch_size, seed.

    Args:
        train, validation: packed inputs and `label` of shape (n,) or (n, k), as `snapshot.arrays_of` gives them. Without
            a validation part all of `training.epochs` are run, and the last weights are kept.
        progress: told {epoch, epochs, loss, validation_loss} after every epoch; without a validation part it has no loss.
    Raises: DataError: the loss is not a number any more.
    """
    return learn(begin(train, validation, sizes=sizes, task=task, training=training), progress)


def begin(
    train: Arrays, validation: Arrays | None, *, sizes: dict[str, Any], task: str, training: Training, key: int | None = None
) -> Learner:
    """An untrained network with its rows; equal seeds, rows, threads and machine types give equal weights, to the bit.

    Args:
        key: decides the noise of a private training, one that nobody knows by default.
    """
    import keras
    import tensorflow as tf

    tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(training.seed)
    start = models.head(train["label"], task=task, balanced=training.class_weights == "balanced")
    model = models.build(sizes, task=task, training=training, start=start)
    learner = Learner(model, start, task=task, training=training, key=private.draw_key() if key is None else key)
    learner.take(train, validation)
    return learner


def learn(
    learner: Learner, progress: Progress, *, checkpoint: Checkpoint | None = None, alive: Callable[[], None] = lambda: None
) -> Fitted:
    """The epochs.

    Args:
        checkpoint: where to go on from, and to write to; without it a killed training starts over.
        alive: called every few hundred steps.
    Raises: DataError: the loss is not a number any more.
    """
    training, state = learner.training, State()
    if checkpoint is not None:
        state = checkpoint.restore(learner) or state
    while state.epoch < training.epochs and state.waited < training.patience:
        losses, began = [], time.process_time()
        for stretch in learner.stretches(state.epoch):
            losses.append((learner.run(stretch), len(stretch)))
            alive()
        loss = float(np.average([one for one, _ in losses], weights=[steps for _, steps in losses]))
        _record(state, learner, loss, learner.validation_loss())
        told = {"epoch": state.epoch, "epochs": training.epochs, "loss": loss}
        told |= {"validation_loss": state.history["val_loss"][-1]} if learner.has_validation else {}
        progress({name: float(value) for name, value in told.items()})
        state.cpu_s += time.process_time() - began
        if checkpoint is not None:
            checkpoint.save(learner, state)
    learner.model.set_weights(state.best)
    learner.finish()
    return Fitted(learner.model, state.history, state.best_epoch, state.cpu_s)


def _record(state: State, learner: Learner, loss: float, validation_loss: float) -> None:
    """Write an epoch into the state.

    Raises: DataError: a loss is not a number.
    """
    state.epoch += 1
    judged = validation_loss if learner.has_validation else loss
    if not np.isfinite([loss, judged]).all():
        raise DataError(
            f"The loss is not finite after {state.epoch} epochs (learning_rate = {learner.training.learning_rate}). "
            "Lower [training] learning_rate, or look for absurd values in the number columns."
        )
    state.history["loss"].append(loss)
    state.history["val_loss"].append(validation_loss)
    if not learner.has_validation or judged < state.best_loss:
        state.best_loss, state.best_epoch, state.best, state.waited = judged, state.epoch, learner.model.get_weights(), 0
    else:
        state.waited += 1


def predict(model: "keras.Model", arrays: Arrays) -> npt.NDArray[np.float64]:
    """Answers for encoded rows, float64 of shape (n,) with one output, (n, k) with several."""
    import tensorflow as tf

    names, size = models.inputs_of(model), len(next(iter(arrays.values())))
    call = tf.function(lambda rows: model(rows, training=False), reduce_retracing=True)
    parts = [call({name: tf.constant(arrays[name][at : at + ROWS]) for name in names}).numpy() for at in range(0, size, ROWS)]
    answers = np.concatenate(parts).astype(np.float64)
    return answers[:, 0] if answers.shape[1] == 1 else answers
