"""Pages of runs inside Airflow: who may read them, and that nothing else can be read that way."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from retraining import pages

PROJECT = Path(__file__).resolve().parents[2]
ASKER = Path(__file__).parent / "ask_pages.py"
PAGE = "/evergreen/flights/runs/night-1/validation.html"
GRAPHS = "/evergreen/flights/runs/evening-1/monitor.html"
DAYS = "/evergreen/flights/monitor/index.html"
WHO_MAY = [
    ("", PAGE, 401),
    ("forged", PAGE, 403),
    ("stranger", PAGE, 403),
    ("clerk", PAGE, 403),
    ("clerk", PAGE.replace("flights", "complaints"), 200),
    ("clerk", "/evergreen/complaints/runs/night-1/monitor.html", 403),  # of another DAG
    ("reader", PAGE, 200),
    ("reader", GRAPHS, 200),
    ("reader", GRAPHS.replace("monitor.html", "dossier.html"), 200),
    ("reader", DAYS, 200),
    ("", DAYS, 401),
    ("stranger", DAYS, 403),
    ("clerk", DAYS.replace("flights", "complaints"), 403),  # may see retrain_complaints, not its monitor
]
NOT_THERE = [
    "/evergreen/flights/runs/night-2/validation.html",
    "/evergreen/flights/runs/night-1/data.html",  # of this run nobody has written it
    "/evergreen/flights/runs/night-1/validate.json",
    "/evergreen/flights/runs/night-1/model",
    "/evergreen/unknown/runs/night-1/validation.html",
    "/evergreen/flights/runs/../secrets.json",
    "/evergreen/flights/runs/..%2F..%2Fsecrets.json",
    "/evergreen/flights/runs/night-1/..%2F..%2F..%2Fsecrets.json",
    "/evergreen/flights/runs/%2e%2e/validation.html",
    "/evergreen/flights/runs/..%2F..%2Fcomplaints%2Fruns%2Fnight-1/validation.html",
    "/evergreen/..%2Fflights/runs/night-1/validation.html",
    "/evergreen/flights.toml/runs/night-1/validation.html",
    "/evergreen/flights/runs/night-1/validation.html%00",
    "/evergreen/flights/runs/night-1%00/validation.html",
    "/evergreen/flights/runs/%2Fetc/validation.html",
    "/evergreen/unknown/monitor/index.html",
    "/evergreen/flights/monitor/latest.json",
    "/evergreen/flights/monitor/days/2013-01-01.json",
    "/evergreen/docs", "/evergreen/redoc", "/evergreen/openapi.json", "/evergreen/",
]  # fmt: skip
OTHER_METHODS = ("POST", "PUT", "DELETE", "PATCH")


def asked() -> list[list[str]]:
    """Every question, in one go: starting an API server takes seconds."""
    of_routes = [["", method, f"/evergreen{example(path)}"] for path, methods in ROUTES for method in methods]
    return [
        *([who, "GET", path] for who, path, _ in WHO_MAY),
        *(["reader", "GET", path] for path in NOT_THERE),
        *(["", "GET", path] for path in NOT_THERE),
        *(["reader", method, PAGE] for method in OTHER_METHODS),
        *of_routes,
    ]


ROUTES = [("/{problem}/runs/{run_key}/{page}", ["GET"]), ("/{problem}/monitor/index.html", ["GET"])]


def example(path: str) -> str:
    return path.format(problem="flights", run_key="night-1", page="validation.html")


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The answers by (who, method, path), the app's routes, and where Airflow mounted it."""
    home = tmp_path_factory.mktemp("airflow")
    for name in (
        "flights/runs/night-1/validation.html",
        "complaints/runs/night-1/validation.html",
        "flights/runs/evening-1/monitor.html",
        "flights/runs/evening-1/dossier.html",
        "flights/monitor/index.html",
    ):
        (home / "store" / name).parent.mkdir(parents=True, exist_ok=True)
        (home / "store" / name).write_text(f"<p>this is {name}</p>")
    (home / "store" / "secrets.json").write_text("a secret")
    (home / "store" / "flights" / "secrets.json").write_text("a secret")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW_", "EVERGREEN_"))}
    clean |= {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(PROJECT / "plugins"),
        "AIRFLOW__CORE__AUTH_MANAGER": "tests.plugins.ask_pages.AuthManager",
        "AIRFLOW__API_AUTH__JWT_SECRET": "for-tests-" + "x" * 60,
        "EVERGREEN_STORE": str(home / "store"),
        "PYTHONPATH": os.pathsep.join([str(PROJECT), str(PROJECT / "plugins")]),
    }
    result = home / "result.json"
    command = [sys.executable, str(ASKER), json.dumps(asked()), str(result)]
    done = subprocess.run(command, env=clean, capture_output=True, text=True, timeout=240, cwd=PROJECT)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    found = json.loads(result.read_text())
    return found | {"by": {tuple(one): answer for one, answer in zip(asked(), found["answers"], strict=True)}}


@pytest.mark.parametrize(("who", "path", "status"), WHO_MAY)
def test_who_may_see_the_dag_may_read_its_pages_and_nobody_else(told, who, path, status):
    answer = told["by"][who, "GET", path]
    assert answer["status"] == status
    assert ("this is" in answer["text"]) == (status == 200)


@pytest.mark.parametrize("who", ["reader", ""])
@pytest.mark.parametrize("path", NOT_THERE)
def test_nothing_else_can_be_read_that_way(told, who, path):
    answer = told["by"][who, "GET", path]
    assert answer["status"] in ((404,) if who else (401, 404))
    assert "secret" not in answer["text"]
    assert "this is" not in answer["text"]


@pytest.mark.parametrize("method", OTHER_METHODS)
def test_pages_can_only_be_read(told, method):
    assert told["by"]["reader", method, PAGE]["status"] == 405


def test_every_route_there_is_refuses_the_anonymous(told):
    assert [(one["path"], one["methods"]) for one in told["routes"]] == ROUTES  # a new route needs its lines in WHO_MAY
    for path, methods in ROUTES:
        for method in methods:
            assert told["by"]["", method, f"/evergreen{example(path)}"]["status"] == 401
    assert told["mounted"].count("/evergreen") == 1


def test_a_page_may_load_nothing_and_only_evidentlys_may_run_scripts_in_a_sandbox(told):
    still, moving = told["by"]["reader", "GET", PAGE]["headers"], told["by"]["reader", "GET", GRAPHS]["headers"]
    for headers in (still, moving):
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "http" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["content-type"].startswith("text/html")
        assert headers["cache-control"] == "no-store"
    assert "script" not in still["content-security-policy"]
    assert "sandbox allow-scripts;" in moving["content-security-policy"]
    assert "allow-same-origin" not in moving["content-security-policy"]


def test_a_page_that_is_not_written_yet_says_who_writes_it(told):
    assert "task <b>report</b>" in told["by"]["reader", "GET", NOT_THERE[0]]["text"]


def test_links_lead_to_addresses_of_the_app():
    assert pages.address("flights", "night-1", "validation.html") == PAGE
