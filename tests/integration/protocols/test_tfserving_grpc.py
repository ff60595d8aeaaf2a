"""TensorFlow Serving's gRPC of the real service, asked with its own stubs and tensors that the real TensorFlow made."""

import json
from typing import Any

import pytest

from ml.embedded.processes import free_port
from ml.errors import ConfigError
from ml.serving.answer import MAX_ROWS
from ml.serving.protocols.tfgrpc import check
from tests.integration.protocols.kit import NEW, OLD, TENSORS, logged, wanted
from tests.integration.serving_kit import ROWS, Service


def predict_request(tensors: dict[str, Any], **spec: Any) -> Any:
    """A request with tensors made by the real TensorFlow."""
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2

    request = predict_pb2.PredictRequest()
    request.model_spec.name = "asked"
    if version := spec.pop("version", None):
        request.model_spec.version.value = version
    for field, value in spec.items():
        setattr(request.model_spec, field, value)
    for name, values in tensors.items():
        request.inputs[name].CopyFrom(values if hasattr(values, "tensor_shape") else tf.make_tensor_proto(values))
    return request


def test_grpc_predicts_as_the_exported_model_does(service, stubs):
    import tensorflow as tf

    exported = tf.saved_model.load(str(service.store / "asked" / "runs" / f"run-{NEW}" / "model" / "saved_model"))
    said = exported.signatures["serving_default"](**{name: tf.constant(values) for name, values in TENSORS.items()})["score"]
    reply, call = stubs.prediction.Predict.with_call(predict_request(TENSORS, signature_name="serving_default"), 30)
    score = reply.outputs["score"]
    assert (score.dtype, tf.make_ndarray(score).tolist()) == (tf.float32.as_datatype_enum, pytest.approx(said.numpy().tolist()))
    assert (reply.model_spec.name, reply.model_spec.version.value) == ("asked", NEW)
    rows = logged(service, dict(call.trailing_metadata())["x-evergreen-request-id"])
    assert [json.loads(row["row"]) for row in rows] == ROWS


def test_grpc_takes_tensors_in_every_form_that_clients_make(stubs):
    import numpy as np
    import tensorflow as tf

    forms = (np.full(3, 1400, np.int64), np.full((3, 1), 1400.0), [1400.0] * 3)
    one_for_all = tf.make_tensor_proto(1400.0, shape=[3])
    assert len(one_for_all.float_val) == 1
    for distance in (*map(tf.make_tensor_proto, forms), one_for_all):
        reply = stubs.prediction.Predict(predict_request({"carrier": ["UA"] * 3, "distance": distance}, version=OLD), 30)
        assert tf.make_ndarray(reply.outputs["score"]).tolist() == wanted(OLD, [ROWS[0]] * 3)


def test_grpc_tells_versions_and_signature(stubs):
    from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2

    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = "asked"
    states = stubs.model.GetModelStatus(request, 30).model_version_status
    assert [(one.version, one.state, one.status.error_code) for one in states] == [(NEW, 30, 0), (OLD, 30, 0)]
    about = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    about.model_spec.name = "asked"
    reply = stubs.prediction.GetModelMetadata(about, 30)
    signatures = get_model_metadata_pb2.SignatureDefMap()
    assert reply.metadata["signature_def"].Unpack(signatures)
    inputs = signatures.signature_def["serving_default"].inputs
    assert {name: (one.dtype, one.tensor_shape.dim[0].size) for name, one in inputs.items()} == {
        "carrier": (7, -1),
        "distance": (1, -1),
    }


GRPC_BAD: dict[str, tuple[dict, dict, str, str]] = {
    "nobody": ({"name": "nobody"}, TENSORS, "NOT_FOUND", "nobody"),
    "a version that is not loaded": ({"version": 5}, TENSORS, "NOT_FOUND", "Version 5"),
    "no model yet": ({"name": "empty"}, TENSORS, "UNAVAILABLE", "empty"),
    "a label": ({"version_label": "stable"}, TENSORS, "INVALID_ARGUMENT", "labels"),
    "another signature": ({"signature_name": "other"}, TENSORS, "INVALID_ARGUMENT", "signature"),
    "an input is missing": ({}, {"carrier": ["UA"]}, "INVALID_ARGUMENT", "no input 'distance'"),
    "rows differ": ({}, {"carrier": ["UA"], "distance": [1.0, 2.0]}, "INVALID_ARGUMENT", "carrier 1, distance 2"),
    "a scalar": ({}, {"carrier": "UA", "distance": 1.0}, "INVALID_ARGUMENT", "shape"),
    "a text for a number": ({}, {"carrier": ["UA"], "distance": ["far"]}, "INVALID_ARGUMENT", "Row 0, column 'distance'"),
    "another type": ({}, {"carrier": ["UA"], "distance": [1j]}, "INVALID_ARGUMENT", "DT_COMPLEX128"),
    "no UTF-8": ({}, {"carrier": [b"\xff"], "distance": [1.0]}, "INVALID_ARGUMENT", "Row 0, column 'carrier'"),
    "too many rows": ({}, {"carrier": ["UA"] * (MAX_ROWS + 1), "distance": [1.0] * (MAX_ROWS + 1)}, "INVALID_ARGUMENT", "10,001"),
}


@pytest.mark.parametrize("name", GRPC_BAD)
def test_grpc_refuses_with_the_status_that_clients_expect(stubs, name):
    import grpc

    spec, tensors, status, says = GRPC_BAD[name]
    with pytest.raises(grpc.RpcError) as caught:
        stubs.prediction.Predict(predict_request(tensors, **spec), 30)
    assert caught.value.code().name == status
    assert says in caught.value.details()


def test_grpc_does_not_write_out_a_tensor_that_only_claims_to_be_large(stubs):
    import grpc

    request = predict_request({"carrier": ["UA"], "distance": [1.0]})
    request.inputs["distance"].tensor_shape.dim[0].size = 2**40
    with pytest.raises(grpc.RpcError, match="10,000 fit"):
        stubs.prediction.Predict(request, 30)


def test_grpc_says_unimplemented_where_the_model_has_no_such_signature(stubs):
    import grpc
    from tensorflow_serving.apis import classification_pb2

    with pytest.raises(grpc.RpcError) as caught:
        stubs.prediction.Classify(classification_pb2.ClassificationRequest(), 30)
    assert caught.value.code().name == "UNIMPLEMENTED"


def test_an_address_of_grpc_that_is_taken_ends_the_start_with_a_reason(service, tmp_path):
    second = Service(tmp_path, service.database_url, grpc=service.grpc)
    second.add_problem("asked")
    with pytest.raises(AssertionError, match=r"EVERGREEN_SERVING_GRPC = .* cannot be bound"):
        second.start()


def test_an_address_that_lets_in_more_than_http_does_is_refused():
    with pytest.raises(ConfigError, match="reached from elsewhere"):
        check(f"0.0.0.0:{free_port(0)}", "127.0.0.1")
    check(f"0.0.0.0:{free_port(0)}", "0.0.0.0")
    for address in ("8500", "nowhere:no", "127.0.0.1:99999"):
        with pytest.raises(ConfigError, match="cannot be bound"):
            check(address, "127.0.0.1")


def test_every_worker_has_its_share_of_the_calls(service):
    """Each new channel is a connection, and the system gives it to one of the workers."""
    import grpc
    import psutil  # type: ignore[import-untyped]
    from tensorflow_serving.apis import prediction_service_pb2_grpc

    port = int(service.grpc.rpartition(":")[2])
    workers = psutil.Process(service.process.pid).children()
    listening = [
        worker
        for worker in workers
        if any(one.status == psutil.CONN_LISTEN and one.laddr.port == port for one in worker.net_connections("tcp"))
    ]
    assert len(listening) == 2
    for _ in range(8):
        with grpc.insecure_channel(service.grpc, options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
            stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
            reply = stub.Predict(predict_request(TENSORS), 30)
            assert list(reply.outputs["score"].float_val) == wanted(NEW)
