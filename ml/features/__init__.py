"""From raw columns to what a network eats: learned from the training part only, applied inside the exported model."""

from ml.features.fit import Encoding, fit, inputs

__all__ = ["Encoding", "fit", "inputs"]
