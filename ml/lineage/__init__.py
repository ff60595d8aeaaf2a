"""Which models, moves and answers a batch of data went into; where a version or an answer comes from; and the way back."""

from ml.lineage.batch import Blast, Model, blast_radius, served_rows, write_served
from ml.lineage.rescore import Rescored, rescore
from ml.lineage.undo import Plan, clean, exclude, include, plan
from ml.lineage.upstream import Prediction, Upstream, of_prediction, of_version

__all__ = [
    "Blast",
    "Model",
    "Plan",
    "Prediction",
    "Rescored",
    "Upstream",
    "blast_radius",
    "clean",
    "exclude",
    "include",
    "of_prediction",
    "of_version",
    "plan",
    "rescore",
    "served_rows",
    "write_served",
]
