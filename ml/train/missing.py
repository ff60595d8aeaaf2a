"""Copies of training rows with values dropped: what serving may miss, though training never missed it, is met here first.

After F. Chollet, Deep Learning with Python, on missing values: a network that never saw a value missing cannot know what to
make of it.
"""

import numpy as np
import pyarrow as pa

from ml import features
from ml.features import Encoding, encoder
from ml.tables import ARROW_TYPES
from ml.train.learner import Arrays

DROPPED = 0.5  # of the values of a copy; on flights as good as 0.2 for rows that miss nothing, and better for rows that do


def with_copies(train: Arrays, encoding: Encoding, share: float, *, seed: int) -> Arrays:
    """The training rows, followed by `share` times as many copies, each without some of its features, at least one.

    Args:
        train: packed arrays and `label`.
    """
    size = len(train["label"])
    generator = np.random.default_rng((seed, size))
    chosen = generator.choice(size, round(share * size), replace=share > 1)
    copies = {name: array[chosen] for name, array in train.items()}
    dropped = generator.random((len(chosen), len(encoding.features))) < DROPPED
    dropped[np.arange(len(chosen)), generator.integers(0, dropped.shape[1], len(chosen))] = True
    nothing = _nothing(encoding)
    for column, parts in enumerate(encoder.places(encoding).values()):
        for kind, place in parts.items():
            copies[kind][dropped[:, column], place] = nothing[kind][0, place]
    return {name: np.concatenate([array, copies[name]]) for name, array in train.items()}


def _nothing(encoding: Encoding) -> Arrays:
    """How a row is encoded in which every value is missing; each array of shape (1, width)."""
    row = pa.table({name: pa.nulls(1, ARROW_TYPES[feature.type]) for name, feature in encoding.features.items()})
    raw = features.inputs(row, encoding.features, timezone=encoding.timezone)
    return encoder.encode(encoder.build(encoding), raw)
