"""A scheduled night that needs no training, through the real scheduler: it ends green, and says why wherever people look."""

import json
import subprocess
import sys
from contextlib import closing

import psycopg2
import pytest

from ml.embedded.stack import Stack
from ml.ledger import Ledger
from ml.settings import PROJECT
from tests.e2e import driving

pytestmark = [pytest.mark.timeout(900), pytest.mark.slow]
NAME, DAG = "rested", "retrain_rested"
WHY = "the last training was 1 day ago, and [retraining] shortest_days is 3"


def schedule(stack: Stack, run_id: str) -> None:
    """A run as the timetable would make it; while history is replayed the timetable itself is still.

    Airflow's interface makes runs by hand only, so the run is told to be a scheduled one before the scheduler may begin it.
    """
    one = driving.airflow(stack)
    one._client.patch(f"/dags/{DAG}", json={"is_paused": True}).raise_for_status()
    one.trigger(DAG, run_id)
    with closing(psycopg2.connect(stack.postgres.url("airflow"))) as connection, connection, connection.cursor() as cursor:
        cursor.execute("UPDATE dag_run SET run_type = 'scheduled' WHERE dag_id = %s AND run_id = %s", (DAG, run_id))
        assert cursor.rowcount == 1
    one._client.patch(f"/dags/{DAG}", json={"is_paused": False}).raise_for_status()


@pytest.fixture(scope="module")
def nights(stack):
    """A first night by hand that made a champion, and the next one by schedule; the states of its tasks."""
    one = driving.airflow(stack)
    driving.add_problem(stack, NAME, lambda text: text.replace("[training]", "[training]\nepochs = 2", 1))
    driving.set_clock(stack, "2013-02-01T03:00:00-05:00")
    one.wait_for_dag(DAG)
    one.trigger(DAG, "first")
    assert driving.finished(one, DAG, "first")["decide"] == "success"
    assert driving.set_off(one, f"promote_{NAME}", DAG, "first")["promote"] == "success"
    driving.set_clock(stack, "2013-02-02T03:00:00-05:00")
    schedule(stack, "second")
    return driving.finished(one, DAG, "second")


def test_the_run_is_green_and_ends_where_it_was_decided(nights):
    assert nights[""] == "success"
    assert (nights["ingest"], nights["validate"], nights["decide"]) == ("success", "success", "skipped")
    assert {nights[task] for task in ("prepare", "train", "evaluate", "rehearse", "gate", "register", "announce")} == {"skipped"}


def test_the_reason_stands_in_airflow(stack, nights):
    one = driving.airflow(stack)
    assert one._get(f"/dags/{DAG}/dagRuns/second/taskInstances/decide/xcomEntries/why")["value"] == WHY
    lines = one._get(f"/dags/{DAG}/dagRuns/second/taskInstances/decide/logs/1")["content"]
    assert any(f"Skipped: {WHY}" in str(line) for line in lines)


def test_the_reason_stands_in_the_ledger_and_in_status(stack, nights):
    entries = Ledger(stack.settings.database_url).entries(NAME)
    (decided,) = [entry for entry in entries if entry.kind == "decided"]  # who asked by hand was not asked back
    assert (decided.run_key, decided.actor, decided.body["train"], decided.body["why"]) == (
        "second",
        "retrain:schedule",
        False,
        WHY,
    )
    command = [sys.executable, "-m", "ml", "status", "--problem", NAME]
    told = subprocess.run(command, env=stack.environment, cwd=PROJECT, capture_output=True, text=True, timeout=120)
    assert f"did not train: {WHY}" in told.stdout
    shown = subprocess.run([*command, "--json"], env=stack.environment, cwd=PROJECT, capture_output=True, text=True, timeout=120)
    assert json.loads(shown.stdout)["decided"]["rule"] == "too soon"
