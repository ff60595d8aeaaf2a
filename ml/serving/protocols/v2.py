"""The Open Inference Protocol, version 2, over REST.

https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_rest.md. Every feature is an input
of shape [n] ([n, 1] is taken too), with datatype FP64, BOOL or BYTES; numbers may be sent as any numeric datatype. `score` is
what the exported model answers, `decision` what it means.
"""

import math
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from ml.errors import DataError
from ml.problem import TASKS
from ml.requests import Request
from ml.scoring import Scorer
from ml.serving.answer import Rows
from ml.serving.protocols.rows import KEY, plain_rows, rows_of, shown

INTEGERS = {f"{sign}INT{bits}": bits for sign in ("U", "") for bits in (8, 16, 32, 64)}
FLOATS = ("FP16", "FP32", "FP64")
DATATYPES = {"number": "FP64", "boolean": "BOOL"}  # of other features BYTES


class Tensor(BaseModel):
    """One input: as many values as the shape says, flat or nested."""

    model_config = ConfigDict(strict=True)
    name: str = Field(description="a feature, or `key`: your own names of the rows")
    shape: list[int] = Field(description="[n] or [n, 1]")
    datatype: str = Field(description="FP64 for numbers, BOOL, or BYTES for texts and moments (ISO)")
    data: list[Any] = Field(description='the values; null, NaN and "" say missing')


class Output(BaseModel):
    """An output that is asked for."""

    model_config = ConfigDict(strict=True)
    name: str = Field(description="`score` or `decision`")


class Inference(BaseModel):
    """Rows to score, column by column."""

    model_config = ConfigDict(strict=True)
    id: str | None = Field(None, description="comes back with the answer")
    inputs: list[Tensor] = Field(description="one tensor per feature: `name`, `shape`, `datatype`, `data`")
    outputs: list[Output] | None = Field(None, description="which outputs; left out: all")


class Answered(BaseModel):
    """One output."""

    name: str
    shape: list[int]
    datatype: str
    data: list[Any] = Field(description="flat, row after row")
    parameters: dict[str, Any] = Field({}, description="`names`: of the columns, where a row has several")


class Inferred(BaseModel):
    """Outputs for every row in the order asked, all from one version."""

    model_config = ConfigDict(protected_namespaces=())
    model_name: str
    model_version: str
    id: str = Field(description="as sent, or the request's id in the request log")
    parameters: dict[str, Any] = Field(description="`request_id`: names this request in the request log")
    outputs: list[Answered]


def rows(asked: Inference, scorer: Scorer) -> Rows:
    """The rows of a request.

    Raises: DataError: an input is not what the metadata say, or an output is unknown. TooLargeError: too many rows.
    """
    known = [output["name"] for output in outputs_of(scorer)]
    if asked.outputs is not None and (unknown := {output.name for output in asked.outputs} - set(known)):
        raise DataError(f"The output {min(unknown)!r} is unknown. Ask for {' or '.join(known)}, or leave `outputs` out.")
    tensors = {tensor.name: _values(tensor, scorer) for tensor in asked.inputs}
    if len(tensors) < len(asked.inputs):
        raise DataError("An input is there twice. Send every input once.")
    return rows_of(tensors, scorer)


def reply(asked: Inference, answered: Request, scorer: Scorer) -> dict[str, Any]:
    """The answer to a request."""
    wanted = None if asked.outputs is None else {output.name for output in asked.outputs}
    values = {"score": scores(answered), "decision": _decisions(answered, scorer)}
    number = len(answered.rows)
    return {
        "model_name": answered.problem,
        "model_version": str(answered.version),
        "id": asked.id or answered.request_id,
        "parameters": {"request_id": answered.request_id},
        "outputs": [
            output | {"shape": [number, *output["shape"][1:]], "data": _flat(values[output["name"]])}
            for output in outputs_of(scorer)
            if wanted is None or output["name"] in wanted
        ],
    }


def metadata(name: str, versions: Sequence[int], scorer: Scorer) -> dict[str, Any]:
    """What a client must know to ask."""
    inputs = [
        {"name": column, "datatype": DATATYPES.get(feature.type, "BYTES"), "shape": [-1]}
        for column, feature in scorer.columns.items()
    ]
    about = {"name": name, "versions": [str(version) for version in versions], "platform": "evergreen_tensorflow"}
    return about | {"inputs": inputs, "outputs": outputs_of(scorer)}


def outputs_of(scorer: Scorer) -> list[dict[str, Any]]:
    """Metadata of the outputs of a model: `score`, and `decision` where the task has one."""
    several = {"shape": [-1, len(scorer.outputs)], "parameters": {"names": list(scorer.outputs)}}
    one = {"shape": [-1]}
    found = [{"name": "score", "datatype": "FP64"} | (several if len(scorer.outputs) > 1 else one)]
    if scorer.task == "multiclass":
        return [*found, {"name": "decision", "datatype": "BYTES"} | one]
    if TASKS[scorer.task].label == "number":
        return found
    return [*found, {"name": "decision", "datatype": "BOOL"} | (several if scorer.task == "multilabel" else one)]


def example(scorer: Scorer) -> dict[str, Any]:
    """A request that the model answers."""
    sample = plain_rows(scorer.example["rows"][:1], scorer)
    return {
        "inputs": [
            {"name": name, "shape": [1], "datatype": DATATYPES.get(feature.type, "BYTES"), "data": [row[name] for row in sample]}
            for name, feature in scorer.columns.items()
        ]
    }


def scores(answered: Request) -> list[Any]:
    """What the exported model answers: one number per row, or a list of them where it has several outputs."""
    return [list(answer["scores"].values()) if "scores" in answer else answer["score"] for answer in answered.answers]


def _decisions(answered: Request, scorer: Scorer) -> list[Any]:
    said = [answer["decision"] for answer in answered.answers]
    return [[name in row for name in scorer.outputs] for row in said] if scorer.task == "multilabel" else said


def _flat(values: Sequence[Any]) -> list[Any]:
    return [one for value in values for one in (value if isinstance(value, list) else [value])]


def _values(tensor: Tensor, scorer: Scorer) -> list[Any]:
    """Flat values of an input that is what it says it is."""
    if tensor.name != KEY and tensor.name not in scorer.columns:
        return tensor.data  # told as unknown beside those that are known
    who = f"Input {tensor.name!r}"
    allowed = _allowed(KEY if tensor.name == KEY else scorer.columns[tensor.name].type)
    if tensor.datatype not in allowed:
        raise DataError(f"{who} has the datatype {shown(tensor.datatype)}. Expected {' or '.join(allowed)}.")
    number = tensor.shape[0] if tensor.shape else -1
    if tensor.shape not in ([number], [number, 1]):
        raise DataError(f"{who} has the shape {shown(tensor.shape)}. Expected [n] or [n, 1], one value per row.")
    if number != len(tensor.data):
        raise DataError(f"{who} has the shape {tensor.shape}, and {len(tensor.data)} values. Send one value per row.")
    values = [value[0] if isinstance(value, list) and len(value) == 1 else value for value in tensor.data]
    for row, value in enumerate(values):
        if not _fits(value, tensor.datatype):
            raise DataError(f"Row {row}, column {tensor.name!r}: {shown(value)} is no {tensor.datatype}.")
    return values


def _allowed(kind: str) -> tuple[str, ...]:
    if kind == "number":
        return (*reversed(FLOATS), *INTEGERS)
    if kind == "boolean":
        return ("BOOL", *reversed(FLOATS), *INTEGERS)
    return ("BYTES", *INTEGERS) if kind == KEY else ("BYTES",)


def _fits(value: Any, datatype: str) -> bool:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return True
    if datatype == "BYTES":
        return isinstance(value, str)
    if datatype == "BOOL":
        return isinstance(value, bool)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return datatype in FLOATS or _in_range(value, datatype)


def _in_range(value: float, datatype: str) -> bool:
    bits = INTEGERS[datatype]
    low, high = (0, 2**bits) if datatype.startswith("U") else (-(2 ** (bits - 1)), 2 ** (bits - 1))
    return isinstance(value, int) and low <= value < high
