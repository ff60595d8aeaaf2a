"""Stage 4: a Keras network on the encoded rows, exported with its preprocessing, and the simple models to beat."""

from ml.train.stage import run

__all__ = ["run"]
