"""Fitting: early stopping on the validation part, progress that others can follow, a stop at the first NaN."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ml import models
from ml.errors import DataError
from ml.problem import Training

if TYPE_CHECKING:
    import keras

Arrays = dict[str, npt.NDArray[Any]]
Progress = Callable[[dict[str, float]], None]


@dataclass(frozen=True)
class Fitted:
    """A network with its best weights and the losses of every epoch."""

    model: "keras.Model"
    history: dict[str, list[float]]
    best_epoch: int


def fit(train: Arrays, validation: Arrays, *, sizes: dict[str, int], task: str, training: Training, progress: Progress) -> Fitted:
    """Train until the validation loss stops falling; the best epoch's weights are kept.

    Args:
        train, validation: from `prepare.arrays_of`: packed inputs and `label`.
        progress: told {epoch, epochs, loss, validation_loss} after every epoch.
    Raises: DataError: the loss is not a number any more.
    """
    import keras

    keras.utils.set_random_seed(training.seed)  # equal weights on the same data, threads and machine type
    model = models.build(sizes, task=task, training=training, prior=float(train["label"].mean()))
    names = [tensor.name for tensor in model.inputs]
    stop = keras.callbacks.EarlyStopping("val_loss", patience=training.patience, restore_best_weights=True)
    report = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: progress(_told(epoch, logs, training)))
    fitted = model.fit(
        {name: train[name] for name in names},
        train["label"],
        validation_data=({name: validation[name] for name in names}, validation["label"]),
        batch_size=training.batch_size,
        epochs=training.epochs,
        callbacks=[stop, keras.callbacks.TerminateOnNaN(), report],
        verbose=0,
    )
    history = {name: [float(value) for value in values] for name, values in fitted.history.items()}
    if not np.isfinite([*history["loss"], *history.get("val_loss", [np.nan])]).all():
        raise DataError(
            f"The loss is not finite after {len(history['loss'])} epochs (learning_rate = {training.learning_rate}). "
            "Lower [training] learning_rate, or look for absurd values in the number columns."
        )
    return Fitted(model, history, int(np.argmin(history["val_loss"])) + 1)


def _told(epoch: int, logs: dict[str, float], training: Training) -> dict[str, float]:
    return {
        "epoch": epoch + 1,
        "epochs": training.epochs,
        "loss": logs["loss"],
        "validation_loss": logs.get("val_loss", float("nan")),
    }


def predict(model: "keras.Model", arrays: Arrays) -> npt.NDArray[np.float64]:
    """Scores of encoded rows, shape (n,)."""
    inputs = {tensor.name: arrays[tensor.name] for tensor in model.inputs}
    return np.asarray(model.predict(inputs, batch_size=8192, verbose=0)[:, 0], dtype=np.float64)
