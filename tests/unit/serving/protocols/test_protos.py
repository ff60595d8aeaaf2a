"""The messages that the service reads and writes are those of TensorFlow Serving's own package."""

import importlib
from typing import Any

from google.protobuf import descriptor_pb2

from ml.serving.protocols import protos


def described() -> bytes:
    """The descriptors of the installed package; to take over a newer one, write them into `protos.DESCRIPTORS`."""
    found: dict[str, Any] = {}

    def take(file: Any) -> None:
        for needed in file.dependencies:
            take(needed)
        if file.name not in found:
            found[file.name] = descriptor_pb2.FileDescriptorProto()
            file.CopyToProto(found[file.name])
            found[file.name].ClearField("options")

    for name in ("predict", "get_model_metadata", "get_model_status"):
        take(importlib.import_module(f"tensorflow_serving.apis.{name}_pb2").DESCRIPTOR)
    return descriptor_pb2.FileDescriptorSet(file=found.values()).SerializeToString(deterministic=True)


def test_the_descriptors_are_those_of_the_installed_package():
    assert protos.DESCRIPTORS.read_bytes() == described()


def test_messages_of_both_read_each_other():
    from tensorflow_serving.apis import predict_pb2

    ours = protos.message("tensorflow.serving.PredictRequest")()
    ours.model_spec.name = "flights"
    ours.model_spec.version.value = 3
    ours.inputs["distance"].dtype = protos.numbers("tensorflow.DataType")["DT_FLOAT"]
    ours.inputs["distance"].float_val.append(1.5)
    theirs = predict_pb2.PredictRequest.FromString(ours.SerializeToString())
    assert (theirs.model_spec.version.value, theirs.inputs["distance"].float_val[0]) == (3, 1.5)
    assert type(ours).FromString(theirs.SerializeToString()) == ours
