"""Search for better settings of the network, trial by trial, each in a process of its own; on request, before the training."""

from ml.tune.stage import run

__all__ = ["run"]
