"""A model folder as an MLflow model: signature, example, requirements, and proof that it answers as the training saw."""

import importlib.metadata
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml.errors import DataError
from ml.problem import Feature

if TYPE_CHECKING:
    from mlflow.models import Model, ModelSignature

CODE = Path(__file__).with_name("served_model.py")
REQUIRED = ("mlflow", "numpy", "pandas", "tensorflow")  # named, because letting MLflow find out takes half a minute
TOLERANCE = 1e-5  # largest difference from the scores that training saw
COLUMN_TYPES = {"number": "double", "boolean": "boolean"}  # all other columns are strings


def write(folder: Path, model: Path, features: Mapping[str, Feature], about: "Model") -> None:
    """Write the MLflow model into `folder`, which must not exist, and score its own example through MLflow.

    Args:
        model: the run's model folder: `saved_model/`, `model.json`, `example.json`.
        about: what MLflow knows of it already; completed here.
    Raises: DataError: the packed model fails on its example, or answers otherwise than the training saw.
    """
    import mlflow.pyfunc
    import pandas as pd

    example = json.loads((model / "example.json").read_text())
    mlflow.pyfunc.save_model(
        path=str(folder),
        python_model=str(CODE),
        artifacts={"model": str(model)},
        signature=signature(features, json.loads((model / "model.json").read_text())),
        input_example=pd.DataFrame(example["rows"]).astype(object),
        pip_requirements=[f"{name}=={importlib.metadata.version(name)}" for name in REQUIRED],
        mlflow_model=about,
    )
    _check(folder, example["scores"])


def signature(features: Mapping[str, Feature], about: Mapping[str, Any]) -> "ModelSignature":
    """Every feature by name and type, each optional: missing is something the model knows. The answers as served_model.py says.

    Args:
        about: what stands in the model's `model.json`.
    """
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    inputs = [ColSpec(COLUMN_TYPES.get(feature.type, "string"), name, required=False) for name, feature in features.items()]
    return ModelSignature(Schema(inputs), Schema([ColSpec(kind, name) for name, kind in _answers(about).items()]))


def _answers(about: Mapping[str, Any]) -> dict[str, str]:
    """Name and type of each column of an answer."""
    outputs, decides = about["outputs"], len(about["thresholds"])
    ends = [f"_{name}" for name in outputs] if len(outputs) > 1 else [""]
    answers = {f"score{end}": "double" for end in ends} | {f"decision{end}": "boolean" for end in ends[:decides]}
    return answers | ({"decision": "string"} if about["task"] == "multiclass" else {})


def _check(folder: Path, expected: list[Any]) -> None:
    """MLflow only warns when an example fails; here it is an error.

    Args:
        expected: scores of the example's rows, a number or one per output each.
    """
    import mlflow.pyfunc
    import numpy as np
    import pandas as pd
    from mlflow.exceptions import MlflowException

    request = json.loads((folder / "serving_input_example.json").read_text())["dataframe_split"]
    try:
        answer = mlflow.pyfunc.load_model(str(folder)).predict(pd.DataFrame(**request))
    except (MlflowException, ValueError, TypeError) as error:
        raise DataError(f"The model packed for MLflow fails on its own example: {error}") from error
    scores = answer[[name for name in answer if name.startswith("score")]].to_numpy()
    worst = np.abs(scores - np.asarray(expected).reshape(len(scores), -1)).max()
    if not worst <= TOLERANCE:
        raise DataError(
            f"The model packed for MLflow answers its own example {worst:.2e} away from the training (allowed {TOLERANCE:.0e}). "
            "ml/registry/served_model.py and ml/scoring.py must turn raw columns into the same tensors."
        )
