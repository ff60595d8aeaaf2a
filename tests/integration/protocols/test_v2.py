"""The Open Inference Protocol of the real service."""

import json
from typing import Any

import pytest

from tests.integration.protocols.kit import NEW, OLD, TENSORS, logged, wanted
from tests.integration.serving_kit import ROWS


def v2_body(**more: Any) -> dict[str, Any]:
    inputs = [
        {"name": "carrier", "shape": [3], "datatype": "BYTES", "data": TENSORS["carrier"]},
        {"name": "distance", "shape": [3], "datatype": "FP32", "data": [1400.0, None, 200.0]},
    ]
    return {"inputs": inputs} | more


def test_v2_answers_scores_and_decisions_of_one_version_and_is_logged(service, client):
    key = {"name": "key", "shape": [3], "datatype": "INT64", "data": [7, 8, 9]}
    body = v2_body(id="mine")
    body["inputs"].append(key)
    answer = client.post("/v2/models/asked/infer", json=body).json()
    assert (answer["model_name"], answer["model_version"], answer["id"]) == ("asked", str(NEW), "mine")
    score, decision = answer["outputs"]
    assert (score["name"], score["datatype"], score["shape"], score["data"]) == ("score", "FP64", [3], wanted(NEW))
    assert (decision["name"], decision["datatype"], decision["data"]) == ("decision", "BOOL", [True, True, True])
    rows = logged(service, answer["parameters"]["request_id"])
    assert [(row["version"], row["key"]) for row in rows] == [(NEW, "7"), (NEW, "8"), (NEW, "9")]
    assert [json.loads(row["row"]) for row in rows] == ROWS  # '' and null of the tensors are the missing values of the log


def test_v2_takes_columns_of_shape_n_by_1_nested_or_flat_and_answers_only_what_is_asked_for(client):
    body = v2_body(outputs=[{"name": "score"}])
    body["inputs"][0] |= {"shape": [3, 1], "data": [[value] for value in TENSORS["carrier"]]}
    body["inputs"][1] |= {"shape": [3, 1]}
    answer = client.post(f"/v2/models/asked/versions/{OLD}/infer", json=body).json()
    assert answer["model_version"] == str(OLD)
    assert [(output["name"], output["data"]) for output in answer["outputs"]] == [("score", wanted(OLD))]


def test_v2_describes_server_and_model(client):
    assert client.get("/v2").json().keys() == {"name", "version", "extensions"}
    assert client.get("/v2/health/live").json() == {"live": True}
    about = client.get("/v2/models/asked").json()
    assert about["versions"] == [str(NEW), str(OLD)]
    assert about["inputs"] == [
        {"name": "carrier", "datatype": "BYTES", "shape": [-1]},
        {"name": "distance", "datatype": "FP64", "shape": [-1]},
    ]
    assert [output["name"] for output in about["outputs"]] == ["score", "decision"]


def test_v2_says_what_is_ready(client):
    assert client.get("/v2/health/ready").status_code == 200  # `empty` has no champion that could be missing
    assert client.get("/v2/models/asked/ready").json() == {"name": "asked", "ready": True}
    assert client.get(f"/v2/models/asked/versions/{OLD}/ready").status_code == 200
    answer = client.get("/v2/models/empty/ready")
    assert (answer.status_code, answer.json()) == (503, {"name": "empty", "ready": False})


def change(place: int, **more: Any) -> dict[str, Any]:
    body = v2_body()
    body["inputs"][place] |= more
    return body


V2_BAD = {
    "no JSON": (b"{", "not JSON"),
    "no inputs": ({}, "inputs: Field required"),
    "an input is missing": ({"inputs": v2_body()["inputs"][:1]}, "no input 'distance'"),
    "an input is unknown": (change(0, name="shoe"), "no input 'carrier'"),
    "an input is there twice": ({"inputs": v2_body()["inputs"] * 2}, "twice"),
    "fewer values than the shape says": (change(1, data=[1.0]), r"shape [3], and 1 values"),
    "another number of rows": (change(1, shape=[1], data=[1.0]), "carrier 3, distance 1"),
    "three dimensions": (change(1, shape=[3, 1, 1]), "Expected [n] or [n, 1]"),
    "no dimension": (change(1, shape=[], data=[]), "Expected [n] or [n, 1]"),
    "a negative dimension": (change(1, shape=[-1], data=[]), "has the shape [-1], and 0 values"),
    "no row": ({"inputs": [one | {"shape": [0], "data": []} for one in v2_body()["inputs"]]}, "holds no row"),
    "a datatype that does not fit": (change(1, datatype="BYTES"), "Expected FP64"),
    "a datatype that is none": (change(0, datatype="TEXT"), "Expected BYTES"),
    "a number among the texts": (change(0, data=["UA", 1, ""]), "Row 1, column 'carrier': 1 is no BYTES"),
    "a text among the numbers": (change(1, data=[1.0, 2.0, "3"]), "Row 2, column 'distance': '3' is no FP32"),
    "out of range": (change(1, datatype="UINT8", data=[1, 256, 3]), "Row 1, column 'distance': 256 is no UINT8"),
    "infinite": (b'{"inputs": [{"name": "carrier", "shape": [1], "datatype": "BYTES", "data": ["UA"]}, '
                 b'{"name": "distance", "shape": [1], "datatype": "FP32", "data": [Infinity]}]}', "Received: inf"),
    "NUL": (change(0, data=["UA", "a\0", ""]), "Row 1, column 'carrier'"),
    "an unknown output": (v2_body(outputs=[{"name": "shoe"}]), "'shoe' is unknown"),
}  # fmt: skip


@pytest.mark.parametrize("name", V2_BAD)
def test_v2_refuses_what_is_not_what_it_says(client, name):
    body, says = V2_BAD[name]
    answer = client.post("/v2/models/asked/infer", content=body if isinstance(body, bytes) else json.dumps(body))
    assert answer.status_code == 400, answer.text
    assert says in answer.json()["error"]
