"""Two nights of flights through the real scheduler: what is told afterwards is what is there."""

import json
import os
from contextlib import closing

import httpx
import psutil  # type: ignore[import-untyped]
import psycopg2
import pytest

from ml import problem as problems
from ml import samples
from ml.context import Context
from ml.embedded import checks, demo
from ml.embedded.night import run_night
from ml.ledger import Ledger
from ml.window import Window
from tests.security import leaks

pytestmark = pytest.mark.timeout(1200)


@pytest.fixture(scope="module")
def nights(stack, progress):
    """The outcome of one invocation after the other, each one night."""
    outcomes, told = [], []
    for _ in range(2):
        outcomes.append(demo.play(stack, "flights", nights=1, data=None, progress=progress))
        told.append(json.loads((stack.home / "demo.json").read_text()))
    return {"outcomes": outcomes, "told": told, "said": progress.console.file.getvalue()}


def both(nights):
    return [told["nights"][0] for told in nights["told"]]


def test_all_is_as_it_should_be(nights):
    assert [outcome.complaints for outcome in nights["outcomes"]] == [[], []]


def test_an_invocation_plays_the_night_after_the_last_one(nights):
    day = samples.first_night("flights")
    assert [night["run_key"] for night in both(nights)] == [f"night-{day}", f"night-{day.fromordinal(day.toordinal() + 1)}"]
    assert [len(told["nights"]) for told in nights["told"]] == [1, 1]


def test_the_first_night_puts_a_version_into_serving(nights):
    first = both(nights)[0]
    assert first["verdict"]["decision"] == "promote"
    assert first["version"] == 1 == first["serving"]["answer"]["version"]
    assert [run["dag_id"] for run in first["dag_runs"]][:4] == [
        "retrain_flights",
        "promote_flights",
        "deploy_flights",
        "monitor_flights",
    ]


def test_the_first_night_has_no_champion_to_compare_with_and_the_second_has(nights):
    first, second = both(nights)
    assert first["metrics"]["champion"] is None
    assert set(second["metrics"]["champion"]) == set(second["metrics"]["candidate"]) == set(second["metrics"]["baseline"])
    for interval in second["metrics"]["champion"].values():
        assert interval["low"] <= interval["value"] <= interval["high"]


def test_the_second_night_rehearses_on_what_was_asked_on_the_first(nights):
    first, second = both(nights)
    assert "test rows" in first["rehearsal"] and "there is no champion yet" in first["rehearsal"]
    assert " logged rows: answers differ by " in second["rehearsal"]


def test_rows_told_are_rows_stored(nights, stack):
    night = both(nights)[1]
    context = Context(problems.load("flights", stack.problems), stack.settings, night["run_key"])
    window = Window.parse("/".join(night["window"]))
    assert night["rows"]["ingested"] == night["rows"]["valid"] + night["rows"]["quarantined"] > 0
    assert context.table("valid").read(window, columns=["_day"]).num_rows == night["rows"]["valid"]
    assert context.table("raw").read(window, columns=["_day"]).num_rows == night["rows"]["ingested"]


def test_every_run_succeeded_in_airflows_own_database(nights, stack):
    told = {(run["dag_id"], run["run_id"]) for night in both(nights) for run in night["dag_runs"]}
    with closing(psycopg2.connect(stack.postgres.url("airflow"))) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT dag_id, run_id FROM dag_run WHERE state = 'success' AND dag_id LIKE '%flights'")
        assert told == set(cursor.fetchall())


def test_the_service_still_gives_the_answer_that_was_told(nights, stack):
    told = both(nights)[1]["serving"]
    token = {"Authorization": f"Bearer {stack.secrets.serving_token}"}
    answer = httpx.post(told["url"], params={"log": "false"}, headers=token, json=told["request"], trust_env=False).json()
    champion = Ledger(stack.settings.database_url).champion("flights")
    assert champion is not None
    assert answer["version"] == told["version"] == champion.version
    assert answer["predictions"] == told["answer"]["predictions"]


def test_the_days_flights_were_asked_and_logged(nights, stack):
    first, second = both(nights)
    assert first["traffic"]["failed"] == second["traffic"]["failed"] == 0
    with closing(psycopg2.connect(stack.postgres.url("evergreen"))) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM request_log WHERE problem = 'flights'")
        assert cursor.fetchone() == (first["traffic"]["sent"] + second["traffic"]["sent"],)
    assert first["traffic"]["sent"] > 500


def test_a_night_that_is_played_again_does_nothing_twice(nights, stack, progress):
    ledger = Ledger(stack.settings.database_url)
    before = [entry.hash for entry in ledger.entries()]
    again = run_night(stack, "flights", samples.first_night("flights"), progress=progress)
    assert [entry.hash for entry in ledger.entries()] == before
    assert again["metrics"] == both(nights)[0]["metrics"]


def test_what_was_said_names_every_stage(nights):
    for stage in (
        "ingest",
        "validate",
        "decide",
        "prepare",
        "train",
        "evaluate",
        "rehearse",
        "gate",
        "register",
        "promote",
        "deploy",
        "monitor",
    ):
        assert f" {stage} " in nights["said"]


def test_secrets_are_for_the_owner_alone(nights, stack):
    for path in (stack.home / "secrets.json", stack.home / "airflow" / "passwords.json"):
        assert path.stat().st_mode & 0o077 == 0
    words = list(vars(stack.secrets).values())
    lines = [" ".join(process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"])]
    assert not [line for line in lines for word in words if word in line]


def test_no_secret_stands_in_what_two_nights_left_behind(nights, stack):
    """Logs, rendered templates, XCom, parameters, tags and artifacts of MLflow, the ledger, the request log, the store, reports.

    What must be there is searched the same way, or an empty answer would say nothing.
    """
    planted = {name: os.environ[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
    words = vars(stack.secrets) | planted
    assert all(len(word) >= 12 for word in words.values())
    own = ("secrets.json", "airflow/passwords.json", "postgres/data")  # for their owner alone
    places = leaks.files(stack.home, but=own)
    assert leaks.in_files(places, {"the run": nights["told"][1]["nights"][0]["run_key"]})
    assert leaks.in_files(places, words) == []
    for name in ("airflow", "mlflow", "evergreen"):
        url = stack.postgres.url(name)
        assert leaks.in_database(url, {"the problem": "flights"}), name
        assert leaks.in_database(url, words) == [], name


def test_a_check_finds_a_champion_that_differs(nights, stack):
    """The check itself must be able to fail: move MLflow's alias behind the ledger's back."""
    url = f"{stack.mlflow_url}/api/2.0/mlflow/registered-models/alias"
    name = {"name": "flights", "alias": "champion"}
    version = httpx.get(url, params=name, trust_env=False).json()["model_version"]["version"]
    httpx.request("DELETE", url, json=name, trust_env=False).raise_for_status()
    try:
        assert any("The champion differs" in line for line in checks.complaints(stack, "flights", both(nights)))
    finally:
        httpx.post(url, json=name | {"version": version}, trust_env=False).raise_for_status()
