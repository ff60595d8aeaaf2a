"""A problem: what is predicted, from what, judged how. One TOML file each; `python -m ml problem describe` prints its keys."""

from ml.problem.alerts import Alerts
from ml.problem.data import Feature, FeatureType, History, Limit, Source
from ml.problem.drift import Drift
from ml.problem.feedback import Feedback, Origin
from ml.problem.load import load, names
from ml.problem.model import Dp, Gate, Guardrails, Serving, Split, Success, Target, Training, Watchdog
from ml.problem.problem import Problem
from ml.problem.retraining import Memory, Policy, Retraining
from ml.problem.section import Section
from ml.problem.task import TASKS, Metric, Task

__all__ = [
    "TASKS",
    "Alerts",
    "Dp",
    "Drift",
    "Feature",
    "FeatureType",
    "Feedback",
    "Gate",
    "Guardrails",
    "History",
    "Limit",
    "Memory",
    "Metric",
    "Origin",
    "Policy",
    "Problem",
    "Retraining",
    "Section",
    "Serving",
    "Source",
    "Split",
    "Success",
    "Target",
    "Task",
    "Training",
    "Watchdog",
    "load",
    "names",
]
