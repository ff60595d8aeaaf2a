"""Pages of runs inside Airflow: who may read them, and that nothing else can be read that way."""

import json
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from retraining import pages

from ml.tables import Table
from ml.window import Window
from tests.e2e.driving import CHROMIUM
from tests.plugins.routes_kit import EXAMPLES
from tests.unit import overview_kit

PROJECT = Path(__file__).resolve().parents[2]
ASKER = Path(__file__).parent / "ask_pages.py"
ANSWER = {"score": 0.3, "decision": True}
TASK = {
    "request_id": "r",
    "position": 0,
    "served_at": "2013-01-01T00:00:00Z",
    "answer": ANSWER,
    "why": "uncertain",
    "probability": 1,
}
PAGE = "/evergreen/flights/runs/night-1/validation.html"
GRAPHS = "/evergreen/flights/runs/evening-1/monitor.html"
DAYS = "/evergreen/flights/monitor/index.html"
FLEET, PROBLEM, PLOT = "/evergreen/", "/evergreen/flights", "/evergreen/flights/runs/night-2013-02-01/plots/roc.png"
ASK, BACK = "/evergreen/flights/ask/retrain", "/evergreen/flights/ask/rollback"
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
    "/evergreen/docs", "/evergreen/redoc", "/evergreen/openapi.json", "/evergreen/torn", "/evergreen/unknown",
    "/evergreen/flights/runs/night-1/plots/..%2F..%2F..%2F..%2Fsecrets.json", "/evergreen/flights/runs/night-1/plots/none.png",
    "/evergreen/flights/runs/..%2Fnight-1/plots/roc.png", "/evergreen/flights/runs/night-1/plots/secrets.json",
]  # fmt: skip
OVERVIEW = [
    *((who, path, status) for path in (FLEET, PROBLEM, PLOT) for who, status in
      (("", 401), ("forged", 403), ("stranger", 403), ("clerk", 403), ("reader", 200), ("labeller", 200))),
    *((who, path, status) for path in (ASK, BACK) for who, status in
      (("", 401), ("forged", 403), ("stranger", 403), ("clerk", 403), ("reader", 403), ("labeller", 200))),
    ("labeller", "/evergreen/flights/ask/nothing", 404),
    ("labeller", "/evergreen/unknown/ask/retrain", 404),
]  # fmt: skip
LABELS, HERE = "/evergreen/flights/labels", "http://testserver"
LABELLING = [  # who, body, origin, status
    ("", "key=f1&label=true", HERE, 401),
    ("stranger", "key=f1&label=true", HERE, 403),
    ("reader", "key=f1&label=true", HERE, 403),  # may look, not label
    ("labeller", "key=f1&label=true", "", 403),  # from nowhere
    ("labeller", "key=f1&label=true", "http://elsewhere.example", 403),
    ("labeller", "key=f1&label=true", "null", 403),
    ("labeller", "key=f1&label=perhaps", HERE, 422),
    ("labeller", "key=f1&label=7", HERE, 422),
    ("labeller", "key=f1", HERE, 422),
    ("labeller", "%ff=%ff", HERE, 422),
    ("labeller", "x" * 100_001, HERE, 413),
    ("labeller", "key=f1&label=true&skip=f9", HERE, 303),
]
ASKING = [  # who, body, origin, status
    ("", "window=", HERE, 401),
    ("stranger", "window=", HERE, 403),
    ("reader", "window=", HERE, 403),
    ("labeller", "window=", "", 403),
    ("labeller", "window=", "http://elsewhere.example", 403),
    ("labeller", "x" * 20_001, HERE, 413),
    ("labeller", "reason=%3Cscript%3E&window=2013-01-31", HERE, 422),  # there is no such DAG in this Airflow yet
]
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
        *([who, "GET", LABELS] for who in ("", "stranger", "clerk", "reader")),
        *([who, "GET", path] for who, path, _ in OVERVIEW),
        *([who, "POST", ASK, body, origin] for who, body, origin, _ in ASKING),
        ["labeller", "POST", BACK, "version=two", HERE],
        *([who, "POST", LABELS, body, origin] for who, body, origin, _ in LABELLING),
        ["labeller", "GET", f"{LABELS}?skip=none"],  # after a label
        ["labeller", "GET", LABELS.replace("flights", "unknown")],
    ]


ROUTES = [
    ("/{problem}/runs/{run_key}/{page}", ["GET"]),
    ("/{problem}/monitor/index.html", ["GET"]),
    ("/{problem}/labels", ["GET"]),
    ("/{problem}/labels", ["POST"]),
    ("/{problem}/ask/{what}", ["GET"]),
    ("/{problem}/ask/{what}", ["POST"]),
    ("/", ["GET"]),
    ("/{problem}", ["GET"]),
    ("/{problem}/runs/{run_key}/plots/{name}", ["GET"]),
]


def example(path: str) -> str:
    return path.format(**EXAMPLES)


def environment(home: Path, auth_manager: str) -> dict[str, str]:
    """Of an Airflow of the test's own."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW_", "EVERGREEN_"))}
    clean |= {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(PROJECT / "plugins"),
        "AIRFLOW__CORE__AUTH_MANAGER": auth_manager,
        "AIRFLOW__API_AUTH__JWT_SECRET": "for-tests-" + "x" * 60,
        "EVERGREEN_STORE": str(home / "store"),
        "EVERGREEN_DATABASE_URL": f"sqlite:///{home}/state.db",
        "EVERGREEN_MLFLOW_URL": "http://127.0.0.1:9",  # nobody answers there
        "PYTHONPATH": os.pathsep.join([str(PROJECT), str(PROJECT / "plugins")]),
    }
    return clean


def write_batch(home: Path, *keys: str) -> None:
    """Rows that people are asked about."""
    tasks = [{"key": key, "row": {"carrier": f"<b>{key}", "dest": None}} | TASK for key in keys]
    batch = {"name": "q", "made_at": datetime.now(UTC).isoformat(), "version": 1, "num_candidates": len(keys), "tasks": tasks}
    (home / "store" / "flights" / "labelling").mkdir(parents=True)
    (home / "store" / "flights" / "labelling" / "q.json").write_text(json.dumps(batch))


def fleet(home: Path) -> None:
    """Four nights of flights, one comment that would like to be a script, and a problem file that is broken."""
    context = overview_kit.make_context(home)
    overview_kit.fortnight(context, 4)
    told = {"comment": "<script>alert(1)</script>"}
    context.ledger.append("flights", "rejected", key="evil", actor="airflow:<b>anna</b>", version=2, body=told)
    shutil.copytree(PROJECT / "ml" / "problems", home / "problems")
    (home / "problems" / "torn.toml").write_text("[problem\n")


def labels_in(home: Path) -> list[dict[str, Any]]:
    """What was written, in its order."""
    today = datetime.now(UTC).date()
    window = Window(today - timedelta(days=2), today + timedelta(days=2))
    return Table(f"{home}/store/flights/tables/labels").read(window).sort_by("_order").to_pylist()


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
    write_batch(home, "f1", "f2")
    fleet(home)
    (home / "store" / "secrets.json").write_text("a secret")
    (home / "store" / "flights" / "secrets.json").write_text("a secret")
    clean = environment(home, "tests.plugins.ask_pages.AuthManager")
    clean |= {"EVERGREEN_PROBLEMS": str(home / "problems")}
    result = home / "result.json"
    command = [sys.executable, str(ASKER), json.dumps(asked()), str(result)]
    done = subprocess.run(command, env=clean, capture_output=True, text=True, timeout=240, cwd=PROJECT)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    found = json.loads(result.read_text())
    found["home"] = str(home)
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


@pytest.mark.parametrize(("who", "status"), [("", 401), ("stranger", 403), ("clerk", 403), ("reader", 200)])
def test_who_may_see_the_dag_may_see_what_is_asked(told, who, status):
    answer = told["by"][who, "GET", LABELS]
    assert answer["status"] == status
    assert ("f1" in answer["text"]) == (status == 200)


def test_the_page_escapes_rows_and_runs_only_its_own_script(told):
    answer = told["by"]["reader", "GET", LABELS]
    assert "&lt;b&gt;f1" in answer["text"] and "<b>f1" not in answer["text"]
    policy = answer["headers"]["content-security-policy"]
    assert "default-src 'none'" in policy and "script-src 'nonce-" in policy and "http" not in policy
    assert answer["headers"]["referrer-policy"] == "same-origin"


@pytest.mark.parametrize(("who", "body", "origin", "status"), LABELLING)
def test_only_who_may_start_the_dag_labels_and_only_from_the_page(told, who, body, origin, status):
    answer = told["by"][who, "POST", LABELS, body, origin]
    assert answer["status"] == status, answer["text"][:500]
    if status == 303:
        assert answer["headers"]["location"] == f"{LABELS}?skip=f9"


def test_a_label_is_written_once_with_the_name_of_who_gave_it_and_the_next_row_is_shown(told):
    [row] = labels_in(Path(told["home"]))
    assert (row["_key"], row["_label"], row["_labeller"], row["_source"]) == ("f1", "true", "airflow:labeller", "labelling")
    after = told["by"]["labeller", "GET", f"{LABELS}?skip=none"]["text"]
    assert "f2" in after and "f1" not in after
    assert told["by"]["labeller", "GET", LABELS.replace("flights", "unknown")]["status"] == 404


@pytest.mark.skipif(CHROMIUM is None, reason="no browser on this machine")
def test_somebody_labels_in_a_browser_with_the_keyboard(tmp_path):
    write_batch(tmp_path, "f1", "f2", "f3")
    script, result = ASKER.with_name("label_in_browser.py"), tmp_path / "result.json"
    simple = "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager"
    command = [sys.executable, str(script), str(result), *filter(None, [os.environ.get("EVERGREEN_SCREENSHOTS")])]
    done = subprocess.run(command, env=environment(tmp_path, simple), capture_output=True, text=True, timeout=240, cwd=PROJECT)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    first, second, third, last = json.loads(result.read_text())["said"]
    assert "f1" in first and "f2" in second and "f3" in third
    assert "Nothing is left to label: 1 rows were left for later" in last
    said = [(row["_key"], row["_label"], row["_labeller"]) for row in labels_in(tmp_path)]
    assert said == [("f1", "true", "airflow:anna"), ("f3", "false", "airflow:anna")]


@pytest.mark.parametrize(("who", "path", "status"), OVERVIEW)
def test_only_who_may_see_all_dags_of_a_problem_sees_its_pages_and_only_who_may_start_them_a_form(told, who, path, status):
    answer = told["by"][who, "GET", path]
    assert answer["status"] == status, answer["text"][:500]
    assert ("Late arrivals" in answer["text"]) == (status == 200 and path in (FLEET, PROBLEM, ASK, BACK))


def test_no_route_of_any_app_of_the_plugin_is_open_to_the_anonymous_or_to_who_has_no_role(told):
    assert told["guard"]["apps"] == 1  # an app whose routes could not be looked at would be missing here
    assert told["guard"]["open"] == []


def test_a_route_that_somebody_forgets_to_guard_is_found(told):
    """Three are planted: one that only asks who is logged in, and two that do not even ask that."""
    found = [one.split()[1] for one in told["guard"]["planted"]]
    assert sorted(set(found)) == ["/plant/mounted", "/plant/of-fastapi", "/plant/of-starlette"]


def test_the_fleet_shows_what_is_known_and_what_is_broken(told):
    text = told["by"]["reader", "GET", FLEET]["text"]
    assert "Version 1" in text and "promised 0.74" in text and "Disputed answers" in text
    assert "torn.toml is not valid TOML" in text and told["home"] not in text
    assert 'aria-label="auc from' in text
    assert f'href="{PROBLEM}"' in text and 'href="/evergreen/torn"' not in text


def test_the_page_of_a_problem_explains_the_night_and_escapes_what_people_wrote(told):
    answer = told["by"]["reader", "GET", PROBLEM]
    text, policy = answer["text"], answer["headers"]["content-security-policy"]
    assert "All 2,970 rows kept the rules." in text and "MLflow does not answer" in text
    assert "/dags/backtest_flights" in text and f"{PROBLEM}/ask/rollback" in text and PLOT in text
    assert "<script>alert" not in text and "&lt;script&gt;alert" in text and "<b>anna" not in text
    assert "default-src 'none'" in policy and "script-src 'nonce-" in policy and "frame-ancestors 'self'" in policy
    assert text.count("<script") == text.count("<script nonce=") == 1
    assert told["by"]["reader", "GET", PLOT]["headers"]["content-type"] == "image/png"


@pytest.mark.parametrize(("who", "body", "origin", "status"), ASKING)
def test_only_who_may_start_the_dag_starts_a_run_and_only_from_the_form(told, who, body, origin, status):
    answer = told["by"][who, "POST", ASK, body, origin]
    assert answer["status"] == status, answer["text"][:500]
    if status == 422:
        assert "Dag id retrain_flights not found" in answer["text"]
        assert 'value="2013-01-31"' in answer["text"] and "&lt;script&gt;" in answer["text"]  # what was filled in is kept


def test_the_way_back_offers_earlier_champions_and_refuses_what_is_no_number(told):
    assert "the champion before this one" in told["by"]["labeller", "GET", BACK]["text"]
    answer = told["by"]["labeller", "POST", BACK, "version=two", HERE]
    assert answer["status"] == 422 and "no version number" in answer["text"]
