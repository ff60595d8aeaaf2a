"""A model folder as an MLflow model: signature, example, requirements, and proof that it answers as the training saw."""

import importlib.metadata
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

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
        signature=signature(features),
        input_example=pd.DataFrame(example["rows"]).astype(object),
        pip_requirements=[f"{name}=={importlib.metadata.version(name)}" for name in REQUIRED],
        mlflow_model=about,
    )
    _check(folder, example["scores"])


def signature(features: Mapping[str, Feature]) -> "ModelSignature":
    """Every feature by name and type, each optional: missing is something the model knows."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    inputs = [ColSpec(COLUMN_TYPES.get(feature.type, "string"), name, required=False) for name, feature in features.items()]
    return ModelSignature(Schema(inputs), Schema([ColSpec("double", "score"), ColSpec("boolean", "decision")]))


def _check(folder: Path, expected: list[float]) -> None:
    """MLflow only warns when an example fails; here it is an error."""
    import mlflow.pyfunc
    import pandas as pd
    from mlflow.exceptions import MlflowException

    request = json.loads((folder / "serving_input_example.json").read_text())["dataframe_split"]
    try:
        answer = mlflow.pyfunc.load_model(str(folder)).predict(pd.DataFrame(**request))
    except (MlflowException, ValueError, TypeError) as error:
        raise DataError(f"The model packed for MLflow fails on its own example: {error}") from error
    worst = max(abs(got - want) for got, want in zip(answer["score"], expected, strict=True))
    if not worst <= TOLERANCE:
        raise DataError(
            f"The model packed for MLflow answers its own example {worst:.2e} away from the training (allowed {TOLERANCE:.0e}). "
            "ml/registry/served_model.py and ml/scoring.py must turn raw columns into the same tensors."
        )
