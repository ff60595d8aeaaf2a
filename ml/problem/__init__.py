"""A problem: what is predicted, from what, judged how. One TOML file each."""

from ml.problem.load import load, names
from ml.problem.sections import Feature, Gate, Problem, Success

__all__ = ["Feature", "Gate", "Problem", "Success", "load", "names"]
