"""TensorFlow Serving's REST interface of the real service, asked with plain bodies; and what holds for both REST protocols."""

import json

import pytest

from ml.serving.answer import MAX_ROWS
from tests.integration.protocols.kit import NEW, OLD, TENSORS, logged, wanted
from tests.integration.serving_kit import ROWS


@pytest.mark.parametrize("place", ["asked", f"asked/versions/{OLD}"])
def test_tfserving_rest_answers_rows_and_columns(service, client, place):
    version = OLD if "/" in place else NEW
    instances = [dict(zip(TENSORS, row, strict=True)) for row in zip(*TENSORS.values(), strict=True)]
    for body, said in (({"instances": instances}, "predictions"), ({"inputs": TENSORS}, "outputs")):
        answer = client.post(f"/v1/models/{place}:predict", content=json.dumps(body))  # with the token NaN, as clients send it
        assert answer.json() == {said: wanted(version)}
        assert answer.headers["x-evergreen-version"] == str(version)
        rows = logged(service, answer.headers["x-evergreen-request-id"])
        assert [json.loads(row["row"]) for row in rows] == ROWS


def test_tfserving_rest_takes_bytes_as_base64(client):
    body = {"signature_name": "serving_default", "instances": [{"carrier": {"b64": "VUE="}, "distance": 1400}]}
    assert client.post("/v1/models/asked:predict", json=body).json()["predictions"] == wanted(NEW, ROWS[:1])


def test_tfserving_rest_tells_versions_and_signature(client):
    states = client.get("/v1/models/asked").json()["model_version_status"]
    assert [(one["version"], one["state"], one["status"]["error_code"]) for one in states] == [
        (str(NEW), "AVAILABLE", "OK"),
        (str(OLD), "AVAILABLE", "OK"),
    ]
    assert len(client.get(f"/v1/models/asked/versions/{OLD}").json()["model_version_status"]) == 1
    about = client.get("/v1/models/asked/metadata").json()
    assert about["model_spec"] == {"name": "asked", "signature_name": "", "version": str(NEW)}
    signature = about["metadata"]["signature_def"]["signature_def"]["serving_default"]
    assert {name: one["dtype"] for name, one in signature["inputs"].items()} == {"carrier": "DT_STRING", "distance": "DT_FLOAT"}
    assert signature["method_name"] == "tensorflow/serving/predict"


TF_BAD = {
    "no JSON": (b"{", "not JSON"),
    "neither rows nor columns": ({}, "expected either instances or inputs"),
    "both": ({"instances": [], "inputs": {}}, "expected either instances or inputs"),
    "no rows": ({"instances": []}, "holds no row"),
    "no columns": ({"inputs": {}}, "no input 'carrier'"),
    "a bare list for two inputs": ({"inputs": [1, 2]}, "the model has 2 inputs"),
    "an instance is no object": ({"instances": ["UA"]}, "Instance 0 is no object"),
    "instances differ": ({"instances": [ROWS[0], {"carrier": "UA"}]}, "Row 1 has the inputs carrier"),
    "a column is no list": ({"inputs": {"carrier": "UA", "distance": [1.0]}}, "'carrier' is no list"),
    "a text for a number": ({"instances": [{"carrier": "UA", "distance": "far"}]}, "Row 0, column 'distance'"),
    "another signature": ({"signature_name": "other", "instances": [ROWS[0]]}, "not found in signature def"),
    "no base64": ({"instances": [{"carrier": {"b64": "?"}, "distance": 1}]}, "b64"),
    "no UTF-8": ({"instances": [{"carrier": {"b64": "/w=="}, "distance": 1}]}, "Row 0, column 'carrier'"),
    "a number of 5,000 digits": (b'{"instances": [{"carrier": 1' + b"0" * 5000 + b', "distance": 1}]}', ""),
}


@pytest.mark.parametrize("name", TF_BAD)
def test_tfserving_rest_refuses_what_its_signature_does_not_have(client, name):
    body, says = TF_BAD[name]
    answer = client.post("/v1/models/asked:predict", content=body if isinstance(body, bytes) else json.dumps(body))
    assert answer.status_code == 400, answer.text
    assert says in answer.json()["error"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/models/nobody", 404),
        ("GET", "/v1/models/empty", 404),
        ("GET", "/v1/models/asked/versions/5", 404),
        ("GET", "/v1/models/asked/versions/five/metadata", 404),
        ("POST", "/v1/models/nobody:predict", 404),
        ("POST", "/v1/models/asked/versions/5:predict", 404),
        ("POST", "/v1/models/empty:predict", 503),
        ("GET", "/v2/models/nobody", 404),
        ("GET", "/v2/models/nobody/ready", 404),
        ("GET", "/v2/models/asked/versions/5/ready", 404),
        ("POST", "/v2/models/asked/versions/5/infer", 404),
        ("POST", "/v2/models/empty/infer", 503),
    ],
)
def test_what_is_not_loaded_is_told(client, method, path, status):
    answer = client.request(method, path, json={"instances": [ROWS[0]], "inputs": []} if method == "POST" else None)
    assert answer.status_code == status
    assert answer.json()["error"]


def test_limits_hold_in_every_protocol(client):
    many = MAX_ROWS + 1
    tensors = [
        {"name": "carrier", "shape": [many], "datatype": "BYTES", "data": ["UA"] * many},
        {"name": "distance", "shape": [many], "datatype": "FP32", "data": [1.0] * many},
    ]
    assert client.post("/v2/models/asked/infer", json={"inputs": tensors}).status_code == 413
    columns = {one["name"]: one["data"] for one in tensors}
    assert client.post("/v1/models/asked:predict", json={"inputs": columns}).status_code == 413
    assert client.post("/v1/models/asked:predict", content=b" " * (33 * 2**20)).status_code == 413
