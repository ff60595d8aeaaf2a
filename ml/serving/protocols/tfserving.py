"""TensorFlow Serving's REST interface: https://www.tensorflow.org/tfx/serving/api_rest. Pure."""

import base64
import binascii
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ml.errors import DataError
from ml.requests import Request
from ml.scoring import Scorer
from ml.serving.answer import Rows
from ml.serving.protocols import signature
from ml.serving.protocols.rows import columns_of, plain_rows, rows_of, shown
from ml.serving.protocols.v2 import scores

_SHAPE = 'Send {"instances": [{input: value, ...}, ...]} or {"inputs": {input: [value, ...], ...}}.'


class Prediction(BaseModel):
    """Rows to score, in row format (`instances`) or column format (`inputs`)."""

    model_config = ConfigDict(strict=True)
    signature_name: str = Field("", description="serving_default, or left out")
    instances: list[Any] | None = Field(None, description="one object per row; the bare value where there is one input")
    inputs: dict[str, Any] | list[Any] | None = Field(
        None, description="one list per input; the bare list where there is one input"
    )

    @model_validator(mode="after")
    def _one_of_two(self) -> "Prediction":
        if (self.instances is None) == (self.inputs is None):
            raise ValueError("expected either instances or inputs")
        return self


class Predicted(BaseModel):
    """What the exported model answers per row: `predictions` to instances, `outputs` to inputs."""

    predictions: list[Any] | None = None
    outputs: list[Any] | None = None


def rows(asked: Prediction, scorer: Scorer) -> Rows:
    """The rows of a request.

    Raises: DataError: an input is not what the signature says. TooLargeError: too many rows.
    """
    signature.check(asked.signature_name)
    only = next(iter(scorer.columns)) if len(scorer.columns) == 1 else None
    if asked.instances is not None:
        return rows_of(_columns(asked.instances, scorer, only), scorer)
    inputs = {only: asked.inputs} if only and not isinstance(asked.inputs, dict) else asked.inputs
    if not isinstance(inputs, dict):
        raise DataError(f"`inputs` is a list, and the model has {len(scorer.columns)} inputs. {_SHAPE}")
    lists = {name: [_binary(one) for one in _listed(name, values)] for name, values in inputs.items()}
    return rows_of(lists, scorer)


def reply(asked: Prediction, answered: Request) -> dict[str, Any]:
    """The answer; the signature has one output, so its name is left out."""
    return {"predictions" if asked.instances is not None else "outputs": scores(answered)}


def metadata(name: str, version: int, scorer: Scorer) -> dict[str, Any]:
    """GetModelMetadataResponse as JSON."""
    held = {"signature_def": {"signature_def": {signature.NAME: signature.as_json(scorer)}}}
    return {"model_spec": {"name": name, "signature_name": "", "version": str(version)}, "metadata": held}


def status(versions: Sequence[int]) -> dict[str, Any]:
    """GetModelStatusResponse as JSON, newest version first."""
    fine = {"error_code": "OK", "error_message": ""}
    return {
        "model_version_status": [
            {"version": str(version), "state": "AVAILABLE", "status": fine} for version in sorted(versions, reverse=True)
        ]
    }


def example(scorer: Scorer) -> dict[str, Any]:
    """A request that the model answers."""
    rows = plain_rows(scorer.example["rows"][:1], scorer)
    return {
        "instances": [{name: float(value) if isinstance(value, bool) else value for name, value in row.items()} for row in rows]
    }


def _columns(instances: Sequence[Any], scorer: Scorer, only: str | None) -> dict[str, list[Any]]:
    if only and not any(isinstance(one, dict) and "b64" not in one for one in instances):
        return {only: [_binary(one) for one in instances]}
    for number, one in enumerate(instances):
        if not isinstance(one, dict):
            raise DataError(f"Instance {number} is no object: {shown(one)}. {_SHAPE}")
    columns = columns_of(instances, scorer) if instances else {name: [] for name in scorer.columns}
    return {name: [_binary(value) for value in values] for name, values in columns.items()}


def _listed(name: str, values: Any) -> list[Any]:
    if not isinstance(values, list):
        raise DataError(f"Input {name!r} is no list: {shown(values)}. {_SHAPE}")
    return values


def _binary(value: Any) -> Any:
    """Bytes are written {"b64": text}."""
    if not isinstance(value, dict):
        return value
    try:
        return base64.b64decode(value["b64"], validate=True)
    except (KeyError, TypeError, ValueError, binascii.Error) as error:
        raise DataError(f'Expected a value, or bytes as {{"b64": "..."}}. Received: {shown(value)}.') from error
