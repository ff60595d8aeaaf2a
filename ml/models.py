"""Keras builders: the task decides the last layer and the loss; the network is wide and deep."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ml.problem import TASKS, Training

if TYPE_CHECKING:
    import keras

Floats = npt.NDArray[np.float64]
SMALLEST = 1e-6  # shares are kept this far from 0 and 1, so that a class without rows has a finite logit


@dataclass(frozen=True)
class Head:
    """What the last layer knows before anything is learned, one number per output, each of shape (k,).

    Attributes:
        bias: where the output starts: the prior's logit or log; 0 for a regression.
        offset, scale: mean and deviation of a regression's labels, in their own unit; 0 and 1 for the others.
        weights: shape (2, k), of a no and of a yes; all 1 unless classes are balanced. Multiclass uses the second line.
    """

    bias: Floats
    offset: Floats
    scale: Floats
    weights: Floats


def head(labels: npt.NDArray[Any], *, task: str, balanced: bool = False) -> Head:
    """Learn the head's start from the training labels, shape (n,) or (n, k).

    Args:
        balanced: weigh rows so that every class counts alike, n / (number of classes * rows of the class).
    """
    known = np.asarray(labels, dtype=np.float64).reshape(len(labels), -1)
    mean, width = known.mean(axis=0), known.shape[1]
    if TASKS[task].activation == "linear":
        deviation = known.std(axis=0)
        return Head(np.zeros(width), mean, np.where(deviation > 0, deviation, 1.0), np.ones((2, width)))
    share = np.clip(mean, SMALLEST, 1 - SMALLEST)
    classes = width if TASKS[task].activation == "softmax" else 2
    weights = np.stack([1 / (classes * (1 - share)), 1 / (classes * share)]) if balanced else np.ones((2, width))
    seen = share * weights[1] / (share * weights[1] + (1 - share) * weights[0])  # the share that the weighted loss sees
    if TASKS[task].activation == "softmax":
        return Head(np.log(share * weights[1]), np.zeros(width), np.ones(width), weights)
    return Head(np.log(seen / (1 - seen)), np.zeros(width), np.ones(width), weights)


def shift(start: Head, *, task: str) -> Floats:
    """By how much weighted training moves the logits, shape (k,); taken off again, probabilities mean what they say.

    Source: Elkan, The Foundations of Cost-Sensitive Learning (2001), on changed base rates.
    """
    if TASKS[task].activation == "softmax":
        return np.asarray(np.log(start.weights[1]))
    return np.asarray(np.log(start.weights[1] / start.weights[0]))


def build(sizes: dict[str, Any], *, task: str, training: Training, start: Head) -> "keras.Model":
    """A wide and deep network over packed arrays (Cheng et al. 2016): a linear part remembers, a deep part generalises.

    Args:
        sizes: from `features.encoder.sizes`.
        start: from `head`.
    Returns: not compiled; inputs `categories`, `numbers`, `tokens` (only those that are used), output shape (n, k):
        probabilities, or values in the labels' own unit.
    """
    import keras
    from keras import layers

    regularizer = keras.regularizers.L1L2(training.l1, training.l2)
    inputs, wide, deep = _sides(sizes, training, regularizer)
    hidden = _join(deep)
    for place, units in enumerate(training.layers):
        hidden = layers.Dense(units, kernel_regularizer=regularizer, name=f"hidden_{place}")(hidden)
        hidden = layers.Activation("relu")(hidden)  # apart, so that `train.private` sees what enters and leaves each kernel
        hidden = layers.Dropout(training.dropout, seed=training.seed + place)(hidden)
    width, bias = len(start.bias), keras.initializers.Constant(start.bias.astype(np.float32))
    linear = layers.Dense(width, use_bias=False, kernel_regularizer=regularizer, name="wide")(_join(wide))
    raw = layers.add([linear, layers.Dense(width, bias_initializer=bias, name="head")(hidden)], name="raw")
    if TASKS[task].activation == "linear":
        unit = layers.Rescaling(start.scale.astype(np.float32), start.offset.astype(np.float32), name="unit")
        return keras.Model(inputs, unit(raw))
    return keras.Model(inputs, layers.Activation(TASKS[task].activation, name="answer")(raw))


def raw(model: "keras.Model") -> "keras.Model":
    """The same network without its last step: logits, or a regression in standard units."""
    import keras

    return keras.Model(model.inputs, model.get_layer("raw").output)


def inputs_of(model: "keras.Model") -> list[str]:
    """Names of the packed arrays that a network takes."""
    return [tensor.name for tensor in model.inputs]


def _sides(
    sizes: dict[str, Any], training: Training, regularizer: "keras.Regularizer"
) -> tuple[dict[str, "keras.KerasTensor"], list["keras.KerasTensor"], list["keras.KerasTensor"]]:
    """The inputs by name, and what the wide and the deep part see of each."""
    import keras
    from keras import layers

    inputs: dict[str, keras.KerasTensor] = {}
    wide: list[keras.KerasTensor] = []
    deep: list[keras.KerasTensor] = []
    if sizes["categories"]:
        inputs["categories"] = keras.Input((sizes["categories"],), dtype="int32", name="categories")
        for width, side in ((training.embedding, deep), (1, wide)):
            start = "uniform" if side is deep else "zeros"
            name = f"{'deep' if side is deep else 'wide'}_categories"
            table = layers.Embedding(
                sizes["category_values"],
                width,
                name=name,
                embeddings_initializer=start,
                embeddings_regularizer=regularizer if side is deep else None,
            )
            side.append(layers.Flatten()(table(inputs["categories"])))
        deep[-1] = _narrowed(deep[-1], sizes["category_sizes"], training.embedding)
    if sizes["numbers"]:
        inputs["numbers"] = keras.Input((sizes["numbers"],), dtype="float32", name="numbers")
        deep.append(inputs["numbers"])
        wide.append(inputs["numbers"])
    if sizes["tokens"]:
        inputs["tokens"] = keras.Input((sizes["tokens"],), dtype="int32", name="tokens")
        for width, side in ((training.embedding, deep), (1, wide)):
            start, name = ("uniform", "deep_words") if side is deep else ("zeros", "wide_words")
            table = layers.Embedding(sizes["token_values"], width, mask_zero=True, embeddings_initializer=start, name=name)
            side.append(layers.GlobalAveragePooling1D()(table(inputs["tokens"])))
    return inputs, wide, deep


def widths(vocabularies: list[int], largest: int) -> list[int]:
    """Numbers per value of each category: as many as the root of its vocabulary, `largest` when there are many values."""
    return [min(largest, int(np.ceil(np.sqrt(size)))) for size in vocabularies]


def _narrowed(flat: "keras.KerasTensor", vocabularies: list[int], largest: int) -> "keras.KerasTensor":
    """Of the embeddings side by side, each `largest` wide, the numbers that the category's vocabulary deserves.

    One table for all categories is one lookup per step; a table for each is as many as there are categories.
    """
    from keras import ops

    used = [place * largest + number for place, width in enumerate(widths(vocabularies, largest)) for number in range(width)]
    if len(used) == flat.shape[1]:
        return flat
    return ops.take(flat, np.asarray(used, dtype=np.int32), axis=1)


def _join(tensors: list["keras.KerasTensor"]) -> "keras.KerasTensor":
    from keras import layers

    return layers.concatenate(tensors) if len(tensors) > 1 else tensors[0]
