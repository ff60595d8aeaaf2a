"""Differentially private steps (DP-SGD): every row's gradient is cut to a length, and noise hides which rows were there.

Abadi et al., Deep Learning with Differential Privacy (2016). The length of a row's gradient follows from what enters each layer
and from the gradient at what leaves it, so no gradient per row is ever made (ghost norms: Goodfellow 2015; Lee and Kifer 2021).
"""

import secrets
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ml.problem import Dp

if TYPE_CHECKING:
    import keras

RAW, NOBODY = "raw", -1
KEY_BITS = 62
ERROR = 0.05  # of epsilon, which is told at its upper end


def epsilon(dp: Dp, fits: Sequence[tuple[float, int]]) -> float:
    """What the weights tell of a row at most, beside `dp.delta`; of rows added or removed, batches drawn by Poisson sampling.

    Numerical composition of privacy loss (Gopi, Lee and Wutschitz 2021), upper bound.

    Args:
        fits: of every fit on the rows, one after the other, the chance of a row to be in a step, and the number of steps.
    """
    from prv_accountant import PoissonSubsampledGaussianMechanism, PRVAccountant

    steps = [count for _, count in fits]
    each = [PoissonSubsampledGaussianMechanism(sampling_probability=share, noise_multiplier=dp.noise) for share, _ in fits]
    accountant = PRVAccountant(prvs=each, max_self_compositions=steps, eps_error=ERROR, delta_error=dp.delta / 1000)
    _, _, highest = accountant.compute_epsilon(delta=dp.delta, num_self_compositions=steps)
    return float(highest)


def draw_key() -> int:
    """A number that nobody can guess."""
    return secrets.randbits(KEY_BITS)


def poisson_batches(size: int, share: float, steps: int, generator: np.random.Generator) -> npt.NDArray[np.int32]:
    """Row numbers, shape (steps, largest batch); in every step each row is there with chance `share`, for itself."""
    counts = generator.binomial(size, share, steps)
    batches = np.full((steps, max(1, counts.max())), NOBODY, dtype=np.int32)
    for batch, count in zip(batches, counts, strict=True):
        batch[:count] = generator.choice(size, count, replace=False, shuffle=False)
    return batches


class RowGradients:
    """The sum of rows' gradients, each at most `dp.clip` long, with noise of `dp.noise` times that."""

    def __init__(self, raw: "keras.Model", dp: Dp, key: int) -> None:
        import keras

        self._dp, self._key = dp, key
        self._variables = raw.trainable_variables
        self._layers = {layer.name: layer for layer in raw.layers if layer.trainable_variables}
        taps = {name: {"in": layer.input, "out": layer.output} for name, layer in self._layers.items()}
        self._tapped = keras.Model(raw.input, {RAW: raw.output} | taps)

    def __call__(self, inputs: dict[str, Any], losses_of: Callable[[Any], Any], step: Any) -> tuple[Any, list[Any]]:
        """Losses of the rows, shape (n,), and the noisy sum, one tensor per trainable variable."""
        losses, summed = self.clipped(inputs, losses_of)
        return losses, [tensor + self._noise(tensor, step, place) for place, tensor in enumerate(summed)]

    def clipped(self, inputs: dict[str, Any], losses_of: Callable[[Any], Any]) -> tuple[Any, list[Any]]:
        """The same without noise."""
        import tensorflow as tf

        with tf.GradientTape(persistent=True) as tape:
            tapped = self._tapped(inputs, training=True)
            losses = losses_of(tapped[RAW])
        deltas = tape.gradient(losses, {name: tapped[name]["out"] for name in self._layers})
        squares = [_squared(layer, tapped[name]["in"], deltas[name]) for name, layer in self._layers.items()]
        lengths = tf.sqrt(tf.add_n(squares))
        factors = tf.minimum(1.0, tf.math.divide_no_nan(self._dp.clip, lengths) + tf.cast(lengths == 0, tf.float32))
        values = [variable.value for variable in self._variables]
        return losses, [tf.convert_to_tensor(one) for one in tape.gradient(losses, values, output_gradients=factors)]

    def _noise(self, tensor: Any, step: Any, place: int) -> Any:
        """Other noise for every step and variable; resumed at a step, it is the same again."""
        import tensorflow as tf

        number = tf.cast(step, tf.int64) * len(self._variables) + place
        drawn = tf.random.stateless_normal(tf.shape(tensor), tf.stack([tf.constant(self._key, tf.int64), number]))
        return drawn * (self._dp.noise * self._dp.clip)


def _squared(layer: "keras.Layer", entered: Any, delta: Any) -> Any:
    """Squared length of each row's gradient of a layer's weights, shape (n,).

    Args:
        entered: what the layer was given. delta: gradient of the losses at what it answered, before any activation.
    """
    import keras
    import tensorflow as tf

    if isinstance(layer, keras.layers.Embedding):  # a row that looks a value up twice moves its vector by the sum
        same = tf.cast(entered[:, :, None] == entered[:, None, :], tf.float32)
        return tf.reduce_sum(same * tf.matmul(delta, delta, transpose_b=True), axis=(1, 2))
    if isinstance(layer, keras.layers.Dense) and layer.activation is keras.activations.linear:
        bias = 1.0 if layer.use_bias else 0.0
        return (tf.reduce_sum(tf.square(entered), axis=1) + bias) * tf.reduce_sum(tf.square(delta), axis=1)
    raise NotImplementedError(f"The length of a row's gradient of {layer.name} ({type(layer).__name__}) is not known.")
