"""From raw columns to what a network eats: learned from the training part only, applied inside the exported model."""

from ml.features.fit import Encoding, fit, inputs
from ml.features.layout import layout

__all__ = ["Encoding", "fit", "inputs", "layout"]
