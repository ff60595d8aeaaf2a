"""Keras builders: the task decides the last layer and the loss; the network is wide and deep."""

from typing import TYPE_CHECKING

from ml.problem import Training

if TYPE_CHECKING:
    import keras

HEADS = {"binary": ("sigmoid", "binary_crossentropy")}


def build(sizes: dict[str, int], *, task: str, training: Training, prior: float) -> "keras.Model":
    """A wide and deep network over packed arrays (Cheng et al. 2016): a linear part remembers, a deep part generalises.

    Args:
        sizes: from `features.encoder.sizes`.
        prior: share of positives in the training part, in (0, 1); the last bias starts at its logit.
    Returns: compiled; inputs `categories`, `numbers`, `tokens` (only those that are used), output shape (n, 1).
    """
    import keras
    import numpy as np
    from keras import layers

    activation, loss = HEADS[task]
    regularizer = keras.regularizers.L2(training.l2)
    inputs, wide, deep = _sides(sizes, training, regularizer)
    hidden = _join(deep)
    for units in training.layers:
        hidden = layers.Dense(units, activation="relu", kernel_regularizer=regularizer)(hidden)
        hidden = layers.Dropout(training.dropout, seed=training.seed)(hidden)
    logit = keras.initializers.Constant(float(np.log(prior / (1 - prior))))
    both = layers.add(
        [
            layers.Dense(1, use_bias=False, kernel_regularizer=regularizer)(_join(wide)),
            layers.Dense(1, bias_initializer=logit)(hidden),
        ]
    )
    model = keras.Model(inputs, layers.Activation(activation)(both))
    model.compile(keras.optimizers.Adam(training.learning_rate), loss=loss, steps_per_execution=16)
    return model


def _sides(
    sizes: dict[str, int], training: Training, regularizer: "keras.Regularizer"
) -> tuple[dict[str, "keras.KerasTensor"], list["keras.KerasTensor"], list["keras.KerasTensor"]]:
    """The inputs by name, and what the wide and the deep part see of each."""
    import keras
    from keras import layers

    inputs: dict[str, keras.KerasTensor] = {}
    wide, deep = [], []
    if sizes["categories"]:
        inputs["categories"] = keras.Input((sizes["categories"],), dtype="int32", name="categories")
        each = layers.Embedding(sizes["category_values"], training.embedding, embeddings_regularizer=regularizer)
        deep.append(layers.Flatten()(each(inputs["categories"])))
        wide.append(
            layers.Flatten()(layers.Embedding(sizes["category_values"], 1, embeddings_initializer="zeros")(inputs["categories"]))
        )
    if sizes["numbers"]:
        inputs["numbers"] = keras.Input((sizes["numbers"],), dtype="float32", name="numbers")
        deep.append(inputs["numbers"])
        wide.append(inputs["numbers"])
    if sizes["tokens"]:
        inputs["tokens"] = keras.Input((sizes["tokens"],), dtype="int32", name="tokens")
        for width, side in ((training.embedding, deep), (1, wide)):
            start = "uniform" if width > 1 else "zeros"
            vectors = layers.Embedding(sizes["token_values"], width, mask_zero=True, embeddings_initializer=start)(
                inputs["tokens"]
            )
            side.append(layers.GlobalAveragePooling1D()(vectors))
    return inputs, wide, deep


def _join(tensors: list["keras.KerasTensor"]) -> "keras.KerasTensor":
    from keras import layers

    return layers.concatenate(tensors) if len(tensors) > 1 else tensors[0]
