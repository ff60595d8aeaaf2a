"""The steps of training as one graph: rows lie on the device, encoded; many steps run without a return to Python.

Measured (benchmarks/train.py): the same steps through `keras.Model.fit` cost several times the CPU, and compiling them with
XLA costs more than a small night's training takes.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ml import models
from ml.models import Head
from ml.problem import TASKS, Training
from ml.train.private import RowGradients, poisson_batches

if TYPE_CHECKING:
    import keras

Arrays = dict[str, npt.NDArray[Any]]
STEPS = 256  # at most, before somebody hears that training is alive
ROWS = 65_536  # of the validation part at once


class Learner:
    """A network, its optimizer, and the rows that it learns from.

    Attributes:
        model: answers in the labels' own unit.
        num_rows: of the training part.
        steps: of an epoch.
    """

    def __init__(self, model: "keras.Model", start: Head, *, task: str, training: Training, key: int = 0) -> None:
        """`key` decides batches and noise of a private training; whoever knows it can take the noise off again."""
        import keras

        self.model, self.start, self.task, self.training = model, start, task, training
        self._raw, self._key, self._private = models.raw(model), key, training.dp.noise > 0
        self._row_gradients = RowGradients(self._raw, training.dp, key)
        self._optimizer = keras.optimizers.Adam(training.learning_rate)
        self._optimizer.build(model.trainable_variables)

    def take(self, train: Arrays, validation: Arrays | None) -> None:
        """Put the rows where the graph finds them."""
        import tensorflow as tf

        self._train, self._validation = self._tensors(train), self._tensors(validation) if validation else None
        self.num_rows = len(train["label"])
        self.batch_size = min(self.training.batch_size, self.num_rows)
        self.steps = self.num_rows // self.batch_size
        width = None if self._private else self.batch_size
        self._stretch = tf.function(self._steps, input_signature=[tf.TensorSpec([None, width], tf.int32)])
        self._judge = tf.function(self._loss_of, reduce_retracing=True)

    def _tensors(self, rows: Arrays) -> dict[str, Any]:
        """Inputs, and labels of shape (n, k) in the unit that the network learns in."""
        import tensorflow as tf

        label = np.asarray(rows["label"], dtype=np.float32).reshape(len(rows["label"]), -1)
        standard = ((label - self.start.offset) / self.start.scale).astype(np.float32)
        return {name: tf.constant(rows[name]) for name in models.inputs_of(self.model)} | {"label": tf.constant(standard)}

    @property
    def variables(self) -> list[Any]:
        """All that a step changes: weights, states of random numbers, the optimizer's memory."""
        return [*self.model.variables, *self._optimizer.variables]

    def stretches(self, epoch: int) -> list[npt.NDArray[np.int32]]:
        """Row numbers of an epoch, shuffled by seed and epoch alone, each of shape (steps, batch size).

        The rows that fill no batch sit out; they are others in every epoch. Private batches are of any size, filled up with -1.
        """
        if self._private:
            share, counts = self.batch_size / self.num_rows, range(0, self.steps, STEPS)
            generator = np.random.default_rng((self._key, epoch))
            return [poisson_batches(self.num_rows, share, min(STEPS, self.steps - at), generator) for at in counts]
        order = np.random.default_rng((self.training.seed, epoch)).permutation(self.num_rows).astype(np.int32)
        batches = order[: self.steps * self.batch_size].reshape(-1, self.batch_size)
        return [batches[first : first + STEPS] for first in range(0, len(batches), STEPS)]

    def looks(self, epochs: int) -> tuple[float, int]:
        """The chance of a row to be in a step, and how many steps so many epochs take."""
        return self.batch_size / self.num_rows, epochs * self.steps

    def run(self, stretch: npt.NDArray[np.int32]) -> float:
        """Learn from these batches; returns the mean loss."""
        return float(self._stretch(stretch)) / len(stretch)

    @property
    def has_validation(self) -> bool:
        """Whether there are rows that can stop the training."""
        return self._validation is not None

    def validation_loss(self) -> float:
        """Mean loss of the validation part, NaN when there is none."""
        if self._validation is None:
            return float("nan")
        size, total = len(self._validation["label"]), 0.0
        for first in range(0, size, ROWS):
            rows = {name: tensor[first : first + ROWS] for name, tensor in self._validation.items()}
            total += float(self._judge(rows)) * len(rows["label"])
        return total / size

    def resume(self) -> None:
        """Undo what `finish` did to weights that were trained before."""
        self.model.get_layer("head").bias.assign_add(models.shift(self.start, task=self.task).astype(np.float32))

    def finish(self) -> None:
        """Take off what weighing the classes has moved, so that a probability means what it says."""
        self.model.get_layer("head").bias.assign_sub(models.shift(self.start, task=self.task).astype(np.float32))

    def _steps(self, order: Any) -> Any:
        import tensorflow as tf

        total = tf.constant(0.0)
        step = self._private_step if self._private else self._step
        for rows in order:
            known = tf.boolean_mask(rows, rows >= 0) if self._private else rows
            total += step({name: tf.gather(tensor, known) for name, tensor in self._train.items()})
        return total

    def _step(self, batch: dict[str, Any]) -> Any:
        import tensorflow as tf

        variables = self.model.trainable_variables
        with tf.GradientTape() as tape:
            loss = self._loss(batch, training=True)
            total = tf.add_n([loss, *self._raw.losses])
        self._optimizer.apply(tape.gradient(total, [variable.value for variable in variables]), variables)
        return loss

    def _private_step(self, batch: dict[str, Any]) -> Any:
        """The mean gradient of DP-SGD, and the gradient of the penalty on weights, which no row has a part in."""
        import tensorflow as tf

        variables = self.model.trainable_variables
        inputs = {name: tensor for name, tensor in batch.items() if name != "label"}
        losses, gradients = self._row_gradients(inputs, lambda raw: self._losses(raw, batch["label"]), self._optimizer.iterations)
        with tf.GradientTape() as tape:
            penalty = tf.add_n([tf.constant(0.0), *self._raw.losses])
        pulls = tape.gradient(penalty, [variable.value for variable in variables], unconnected_gradients="zero")
        means = [gradient / self.batch_size + pull for gradient, pull in zip(gradients, pulls, strict=True)]
        self._optimizer.apply(means, variables)
        return tf.math.divide_no_nan(tf.reduce_sum(losses), tf.cast(tf.size(losses), tf.float32))

    def _loss_of(self, batch: dict[str, Any]) -> Any:
        return self._loss(batch, training=False)

    def _loss(self, batch: dict[str, Any], *, training: bool) -> Any:
        """Mean over rows; without the penalty on weights."""
        import tensorflow as tf

        inputs = {name: tensor for name, tensor in batch.items() if name != "label"}
        return tf.reduce_mean(self._losses(self._raw(inputs, training=training), batch["label"]))

    def _losses(self, raw: Any, label: Any) -> Any:
        """Of every row, shape (n,): the mean over outputs, of logits where the answer is a probability."""
        import tensorflow as tf

        no, yes = (tf.constant(line, tf.float32) for line in self.start.weights)
        activation = TASKS[self.task].activation
        if activation == "linear":
            return tf.reduce_mean(tf.square(raw - label), axis=1)
        if activation == "softmax":
            each = tf.nn.softmax_cross_entropy_with_logits(label, raw)
            return each * tf.reduce_sum(label * yes, axis=1)
        return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(label, raw) * (no + (yes - no) * label), axis=1)
