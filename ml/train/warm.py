"""Beginning with the champion's weights: what stands for the same value, word or unit is taken over."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ml.features import Encoding, encoder

if TYPE_CHECKING:
    import keras

UNKNOWN = -1


def save(path: Path, model: "keras.Model") -> None:
    """Write all weights by name."""
    with path.open("wb") as file:
        np.savez(file, allow_pickle=False, **{variable.path: np.asarray(variable) for variable in model.weights})


def take_over(model: "keras.Model", own: Encoding, weights: Path, theirs: Encoding) -> str:
    """Put another model's weights into this one; tables are matched by value, because vocabularies change every night.

    Args:
        weights: from `save`, of the model whose encoding is `theirs`.
    Returns: why nothing was taken over; empty when it was.
    """
    if [(name, one.type) for name, one in own.features.items()] != [(name, one.type) for name, one in theirs.features.items()]:
        return "its features are others"
    with np.load(weights, allow_pickle=False) as content:
        old = {name: content[name] for name in content.files}
    fresh = {variable.path: np.asarray(variable) for variable in model.weights}
    if set(old) != set(fresh) or any(old[name].shape[1:] != fresh[name].shape[1:] for name in fresh):
        return "its layers are others"
    mapped = {name: _mapped(name, fresh[name], old[name], own, theirs) for name in fresh}
    if any(array is None for array in mapped.values()):
        return "its layers are others"
    for variable in model.weights:
        variable.assign(mapped[variable.path])
    return ""


def _mapped(
    name: str, fresh: npt.NDArray[Any], old: npt.NDArray[Any], own: Encoding, theirs: Encoding
) -> npt.NDArray[Any] | None:
    """The old weights in the new order; rows of values that were not known keep their start; None: they do not fit."""
    layer = name.partition("/")[0]
    if layer in ("deep_categories", "wide_categories", "deep_words", "wide_words"):
        listed = encoder.words if layer.endswith("words") else encoder.values
        rows = {value: row for row, value in enumerate(listed(theirs))}
        found = np.array([rows.get(value, UNKNOWN) for value in listed(own)])
        return np.where((found == UNKNOWN)[:, None], fresh, old[found])
    return old if old.shape == fresh.shape else None
