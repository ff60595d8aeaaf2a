"""TensorFlow Serving's view of a model: the signature of the exported SavedModel, for REST and gRPC alike.

`ml.train.export` writes that signature; here it is told without loading TensorFlow, so that a client of TensorFlow Serving meets
the same names, types and shapes whether its image or this service answers.
"""

from collections.abc import Collection
from typing import Any

from ml.errors import DataError
from ml.scoring import Scorer
from ml.serving.protocols.rows import shown

NAME = "serving_default"
METHOD = "tensorflow/serving/predict"
OUTPUT = "score"


def check(name: str, wanted: Collection[str] = ()) -> None:
    """Only what the exported model has can be asked for.

    Raises: DataError: another signature, or an output that it does not have.
    """
    if name not in ("", NAME):
        raise DataError(f"Serving signature name: {shown(name)} not found in signature def. Ask for {NAME!r}, or for none.")
    if unknown := set(wanted) - {OUTPUT}:
        raise DataError(
            f"output tensor alias not found in signature: {shown(min(unknown))}. Outputs expected to be in {OUTPUT!r}."
        )


def inputs(scorer: Scorer) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Type and shape of every input."""
    return {
        name: ("DT_FLOAT" if feature.type in ("number", "boolean") else "DT_STRING", (-1,))
        for name, feature in scorer.columns.items()
    }


def outputs(scorer: Scorer) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Type and shape of the output."""
    return {OUTPUT: ("DT_FLOAT", (-1, len(scorer.outputs)) if len(scorer.outputs) > 1 else (-1,))}


def tensor_names(scorer: Scorer) -> dict[str, str]:
    """What the tensors are called in the graph; clients only show it."""
    return {name: f"{NAME}_{name}:0" for name in scorer.columns} | {OUTPUT: "StatefulPartitionedCall:0"}


def as_json(scorer: Scorer) -> dict[str, Any]:
    """The signature as protobuf's JSON mapping writes a SignatureDef."""
    names = tensor_names(scorer)

    def told(tensors: dict[str, tuple[str, tuple[int, ...]]]) -> dict[str, Any]:
        return {
            name: {"dtype": kind, "tensor_shape": _shape(shape), "name": names[name]} for name, (kind, shape) in tensors.items()
        }

    return {"inputs": told(inputs(scorer)), "outputs": told(outputs(scorer)), "method_name": METHOD, "defaults": {}}


def _shape(shape: tuple[int, ...]) -> dict[str, Any]:
    return {"dim": [{"size": str(size), "name": ""} for size in shape], "unknown_rank": False}
