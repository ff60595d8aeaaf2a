"""The model as MLflow loads it. MLflow runs this file as a script, also where this project is not installed, so it stands
alone; that it answers exactly as `ml.scoring` does is tested.
"""

import json
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd  # noqa: TID253 - MLflow hands over a DataFrame, so it is loaded already
from mlflow.models import set_model  # noqa: TID253 - only MLflow runs this file
from mlflow.pyfunc import PythonModel  # noqa: TID253

NUMERIC = ("number", "boolean")


class ServedModel(PythonModel):  # type: ignore[misc]  # mlflow is not followed
    """Raw columns in; a column left out and a null both mean missing.

    Out come `score`, and `decision` where a threshold was chosen. A model of several outputs answers with a column
    `score_<output>` each: of several labels with `decision_<output>` beside it, of classes with the likeliest as `decision`.
    """

    def load_context(self, context: Any) -> None:
        """Read the model folder that was logged as the artifact `model`."""
        import tensorflow as tf

        folder = Path(context.artifacts["model"])
        about = json.loads((folder / "model.json").read_text())
        self.types = {name: feature["type"] for name, feature in about["features"].items()}
        self.zone, self.task = ZoneInfo(about["timezone"]), about["task"]
        self.outputs, self.thresholds = about["outputs"], about["thresholds"]
        self.loaded = tf.saved_model.load(str(folder / "saved_model"))

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> pd.DataFrame:
        """Scores per row: probabilities, or numbers in the label's own unit; and what they say."""
        import tensorflow as tf

        size = len(model_input)
        columns = {name: model_input.get(name, [None] * size) for name in self.types}
        raw = {name: tf.constant(self._column(list(columns[name]), kind)) for name, kind in self.types.items()}
        scores = self.loaded.signatures["serving_default"](**raw)["score"].numpy().astype(np.float64)
        return pd.DataFrame(self._answers(scores.reshape(size, -1)), index=model_input.index)

    def _answers(self, scores: Any) -> dict[str, Any]:
        """Columns of the answer; `scores` has shape (n, outputs)."""
        ends = [f"_{name}" for name in self.outputs] if len(self.outputs) > 1 else [""]
        answers = {f"score{end}": scores[:, place] for place, end in enumerate(ends)}
        for place, (end, threshold) in enumerate(zip(ends, self.thresholds, strict=False)):
            answers[f"decision{end}"] = scores[:, place] >= threshold
        if self.task == "multiclass":
            answers["decision"] = np.asarray(self.outputs, dtype=object)[scores.argmax(axis=1)]
        return answers

    def _column(self, values: list[Any], kind: str) -> Any:
        if kind in NUMERIC:
            return np.asarray([np.nan if pd.isna(value) else value for value in values], dtype=np.float32)
        as_text = self._local if kind == "datetime" else str
        return np.asarray(["" if pd.isna(value) else as_text(value) for value in values], dtype=object)

    def _local(self, moment: Any) -> str:
        """Local time without offset, as the network learned it."""
        moment = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
        if moment.tzinfo is None:
            raise ValueError(f"{moment} has no offset; write an ISO time such as 2013-01-31T05:15:00-05:00.")
        return str(moment.astimezone(self.zone).strftime("%Y-%m-%dT%H:%M:%S"))


set_model(ServedModel())
