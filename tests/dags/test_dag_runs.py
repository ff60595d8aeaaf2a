"""The DAGs run by Airflow, in one process, on a ledger of SQLite; nothing is listening where MLflow and the service would be."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ml import database
from ml.ledger import Ledger
from tests.dags.conftest import PROJECT

RUNNER = Path(__file__).parent / "run_dags.py"
BEFORE_ANNOUNCE = "ingest|validate|decide|prepare|train|evaluate|rehearse|gate|register"
CASES = {
    "deploy without a champion": {"dag": "deploy_flights"},
    "monitor without a champion": {"dag": "monitor_flights", "given": "report"},
    "people are told": {"dag": "monitor_complaints", "given": "report"},
    "monitor looks at the past": {"dag": "monitor_complaints", "conf": {"window": "2013-01-01"}, "given": "report"},
    "a way back that is over": {"dag": "monitor_asked", "given": "report"},
    "promote with nothing due": {"dag": "promote_flights"},
    "nobody to be asked": {"dag": "promote_asked"},
    "feedback before anything": {"dag": "feedback_flights"},
    "housekeeping of an empty store": {"dag": "housekeeping_flights"},
    "nothing to tell": {"dag": "alerts_asked"},
    "misspelt parameter": {"dag": "retrain_flights", "conf": {"windw": "2013-01-01"}},
    "wrong window": {"dag": "retrain_flights", "conf": {"window": "2013-02-01/2013-01-01"}},
    "validation failed": {"dag": "retrain_flights", "given": "ingest"},
    "only the pages failed": {"dag": "retrain_flights", "conf": {"windw": "2013"}, "given": f"{BEFORE_ANNOUNCE}|announce"},
    "no promotion due": {"dag": "retrain_flights", "given": BEFORE_ANNOUNCE},
    "a promotion due": {"dag": "retrain_complaints", "given": BEFORE_ANNOUNCE},
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """How each case ended, with everything that was logged under `log`."""
    home = tmp_path_factory.mktemp("airflow")
    url = f"sqlite:///{home / 'state.db'}"
    database.migrate(url)
    Ledger(url).ask("complaints", "promote", "night-1", {})
    Ledger(url).ask("complaints", "tell", "v1-data-2013-02-01", {"why": "data drift since 2013-02-01: carrier"})
    Ledger(url).ask("asked", "rollback", "v1-move-1", {"version": 1, "to": 0, "entry": 1, "why": "better before"})
    problems = shutil.copytree(PROJECT / "ml" / "problems", home / "problems")
    manual = (problems / "flights.toml").read_text().replace('approval = "auto"', 'approval = "manual"')
    (problems / "asked.toml").write_text(manual.replace('name = "flights"', 'name = "asked"', 1))
    foreign = ("AIRFLOW_", "EVERGREEN_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    environment |= {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(PROJECT / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(PROJECT / "plugins"),
        "EVERGREEN_DATABASE_URL": url,
        "EVERGREEN_PROBLEMS": str(problems),
        "EVERGREEN_STORE": str(home / "store"),
        "EVERGREEN_SOURCE_URL": "postgresql://127.0.0.1:9/production",
        "EVERGREEN_MLFLOW_URL": "http://127.0.0.1:9",
        "EVERGREEN_SERVING_URL": "http://127.0.0.1:9",
        "PYTHONPATH": str(PROJECT),
    }
    result = home / "result.json"
    command = [sys.executable, str(RUNNER), str(PROJECT / "dags"), json.dumps(CASES), str(result)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    found: dict[str, Any] = json.loads(result.read_text())
    return found | {"log": done.stdout + done.stderr, "home": home, "ledger": Ledger(url)}


@pytest.mark.parametrize(
    ("case", "state", "tasks"),
    [
        ("deploy without a champion", "success", {"deploy": "skipped"}),
        ("monitor without a champion", "success", {"monitor": "success", "report": "success", "announce": "skipped"}),
        ("monitor looks at the past", "success", {"monitor": "success", "announce": "skipped", "tell": "skipped"}),
        ("people are told", "success", {"tell": "success", "announce": "skipped", "roll_back": "skipped"}),
        ("a way back that is over", "success", {"roll_back": "skipped", "tell": "skipped"}),
        ("promote with nothing due", "success", {"promote": "skipped", "announce": "skipped"}),
        ("nobody to be asked", "success", {"approve": "skipped", "promote": "skipped", "announce": "skipped"}),
        ("feedback before anything", "success", {"join": "success", "watch": "success", "queue": "success"}),
        ("housekeeping of an empty store", "success", {"purge": "success", "vacuum": "success"}),
        ("nothing to tell", "success", {"sweep": "success"}),
        ("misspelt parameter", "failed", {"ingest": "failed", "announce": "upstream_failed"}),
        ("wrong window", "failed", {"ingest": "failed", "announce": "upstream_failed"}),
        ("validation failed", "failed", {"validate": "failed", "report": "skipped", "announce": "upstream_failed"}),
        ("only the pages failed", "success", {"validate": "success", "report": "failed", "announce": "success"}),
        ("no promotion due", "success", {"announce": "skipped", "report": "skipped"}),
        ("a promotion due", "success", {"announce": "success"}),
    ],
)
def test_how_a_run_ends(runs, case, state, tasks):
    assert runs[case]["state"] == state
    assert {task: runs[case]["tasks"][task] for task in tasks} == tasks


def test_a_run_keeps_its_records_in_a_folder_named_after_it(runs):
    from retraining.runs import run_key

    key = run_key(runs["monitor without a champion"]["run_id"])
    record = json.loads((runs["home"] / "store" / "flights" / "runs" / key / "monitor.json").read_text())["record"]
    assert set(record["verdicts"].values()) == {"not assessable"}


def test_who_fails_is_told_once_a_run_without_what_the_error_says(runs):
    told = {alert.key: alert.body for alert in runs["ledger"].asked("flights", "alert", limit=99)}
    cases = {"misspelt parameter": "ingest", "wrong window": "ingest", "validation failed": "validate"}
    expected = {f"retrain_flights-{runs[case]['run_id']}": task for case, task in cases.items()}
    assert set(told) == {*expected, "deploy_flights-killed", "deploy_flights-slow"}, "nobody is called for mere pages"
    for key, task in expected.items():
        assert f"`{task}` of retrain_flights failed at try 1 with" in told[key]["what"]
        assert "windw" not in told[key]["what"]


def test_a_killed_task_and_a_run_that_took_too_long_are_told_by_the_dag_processor(runs):
    told = {alert.key: alert.body["what"] for alert in runs["ledger"].asked("flights", "alert", limit=99)}
    killed = "`deploy` of deploy_flights failed at try 4 because its process died (run killed)"
    assert told["deploy_flights-killed"] == killed, "by its task and by its run, in the words of whoever was first"
    assert told["deploy_flights-slow"] == "a run of deploy_flights failed: timed out (run slow)"


@pytest.mark.parametrize(
    "line",
    [
        "Skipped: there is no champion to deploy yet.",
        "Skipped: no candidate waits for an answer that nobody was asked for yet.",
        "'windw', which this DAG does not know. Known: 'window', 'dry_run', 'tune', 'reason'",
        "holds no day: its end must be later than its start",
        "Announced: promote is due for complaints: night-1.",
        "vacuum: removed nothing",
        "Skipped: this run only looks at the past, so nothing follows from what it found.",
        "People are told: data drift since 2013-02-01: carrier",
        "Skipped: no way back is due.",
    ],
)
def test_the_log_says_why(runs, line):
    assert line in runs["log"]
