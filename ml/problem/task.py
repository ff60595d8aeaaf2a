"""What a task asks of labels, network and judgement: the one table that decides it."""

from dataclasses import dataclass
from typing import Literal

Metric = Literal["auc", "average_precision", "log_loss", "brier", "accuracy", "mae", "rmse", "r2"]


@dataclass(frozen=True)
class Task:
    """One kind of question.

    `label` is the type of a label column, `several` whether there is more than one; `activation` and `loss` are Keras's names;
    a model may be judged by `metrics`, the first unless the problem says otherwise.
    """

    label: Literal["boolean", "category", "number"]
    several: bool
    activation: str
    loss: str
    metrics: tuple[Metric, ...]

    @property
    def decides(self) -> bool:
        """Whether each output is a probability that a threshold turns into yes or no."""
        return self.label == "boolean"


PROBABILITIES: tuple[Metric, ...] = ("auc", "average_precision", "log_loss", "brier")
CLASSES: tuple[Metric, ...] = ("log_loss", "accuracy", "auc", "average_precision", "brier")
DISTANCES: tuple[Metric, ...] = ("mae", "rmse", "r2")
TASKS: dict[str, Task] = {
    "binary": Task("boolean", False, "sigmoid", "binary_crossentropy", PROBABILITIES),
    "multiclass": Task("category", False, "softmax", "categorical_crossentropy", CLASSES),
    "multilabel": Task("boolean", True, "sigmoid", "binary_crossentropy", PROBABILITIES),
    "regression": Task("number", False, "linear", "mse", DISTANCES),
    "vector_regression": Task("number", True, "linear", "mse", DISTANCES),
}
