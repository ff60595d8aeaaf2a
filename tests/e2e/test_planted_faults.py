"""A bad model and a bad batch, planted: the gate and the validation say no, and the champion goes on serving."""

from contextlib import closing

import httpx
import psycopg2
import pytest

from ml.ledger import Ledger
from ml.records import Ingested, Registered, Validated, Verdict
from ml.registry import Registry
from tests.e2e import driving

pytestmark = pytest.mark.timeout(3000)
NIGHTS = {number: f"2013-02-0{number}T03:00:00-05:00" for number in (1, 2, 3)}
LATER = ("decide", "prepare", "train", "evaluate", "rehearse", "gate", "register", "announce")


def execute(stack, statement: str) -> None:
    with closing(psycopg2.connect(stack.loader_url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(statement)


def served(stack) -> dict:
    return httpx.get(f"{stack.serving_url}/problems/planted", trust_env=False).json()


def unlearned(text: str) -> str:
    """A careless edit of the problem file: one unit, one epoch, steps too small to learn anything."""
    for good, bad in (("layers = [64, 32]", "layers = [1]\nepochs = 1"), ("learning_rate = 0.002", "learning_rate = 1e-9")):
        assert good in text
        text = text.replace(good, bad)
    return text


@pytest.fixture(scope="module")
def first(stack):
    """A champion that serves, made on the first night."""
    one = driving.airflow(stack)
    # the contract by itself would stop such a batch before anything is written; here the rules have to
    driving.add_problem(stack, "planted", lambda text: f"{text}\n[contract]\nstop = false\n")
    driving.set_clock(stack, NIGHTS[1])
    one.wait_for_dag("retrain_planted")
    one.trigger("retrain_planted", "night-1")
    assert driving.finished(one, "retrain_planted", "night-1")[""] == "success"
    promoted = driving.set_off(one, "promote_planted", "retrain_planted", "night-1")
    assert driving.set_off(one, "deploy_planted", "promote_planted", promoted["run_id"])[""] == "success"
    assert served(stack)["version"] == 1
    return one


@pytest.fixture(scope="module")
def bad_model(stack, first):
    """The second night, with a model that learned nothing."""
    path = stack.problems / "planted.toml"
    good = path.read_text()
    path.write_text(unlearned(good))
    driving.set_clock(stack, NIGHTS[2])
    first.trigger("retrain_planted", "night-2")
    states = driving.finished(first, "retrain_planted", "night-2")
    path.write_text(good)
    return states


@pytest.fixture(scope="module")
def bad_batch(stack, first, bad_model):
    """The third night, with a feed that lost its carriers."""
    driving.set_clock(stack, NIGHTS[3])
    new = "sched_dep >= '2013-02-02 America/New_York'"
    execute(stack, f"CREATE TABLE kept AS SELECT flight_id, carrier FROM flights WHERE {new}")
    execute(stack, f"UPDATE flights SET carrier = NULL WHERE {new}")
    first.trigger("retrain_planted", "night-3")
    return driving.finished(first, "retrain_planted", "night-3")


def test_the_gate_rejects_the_bad_model_and_names_the_rules(stack, bad_model):
    run = driving.context(stack, "planted", "night-2")
    verdict = run.record(Verdict)
    assert (bad_model[""], bad_model["announce"]) == ("success", "skipped")
    assert verdict.decision == "reject"
    assert {"floor of auc", "against the champion"} <= {rule.rule for rule in verdict.rules if not rule.holds}
    assert run.record(Registered).version is None


def test_after_the_no_the_old_champion_serves(stack, first, bad_model):
    assert served(stack)["version"] == 1
    assert Registry(stack.mlflow_url).alias("planted", "champion") == 1
    champion = Ledger(stack.settings.database_url).champion("planted")
    assert champion is not None and champion.version == 1
    assert not first.started_by("promote_planted", "retrain_planted", "night-2")


def test_the_bad_batch_stops_at_validate_and_nothing_downstream_runs(stack, first, bad_batch):
    assert (bad_batch[""], bad_batch["ingest"], bad_batch["validate"]) == ("failed", "success", "failed")
    assert {bad_batch[task] for task in LATER} == {"upstream_failed"}
    tasks = first.tasks("retrain_planted", "night-3")
    assert next(task["try_number"] for task in tasks if task["task_id"] == "validate") == 1  # bad data are not retried
    assert "carrier" in first.error("retrain_planted", "night-3", next(t for t in tasks if t["task_id"] == "validate"))
    assert served(stack)["version"] == 1


def test_people_are_told_once_that_validation_failed(stack, bad_batch):
    told = [work.body for work in Ledger(stack.settings.database_url).asked("planted", "alert", limit=99)]
    (failed,) = [body for body in told if body["kind"] == "retrain_failed"]
    assert "`validate` of retrain_planted failed at try 1 with DataError (run night-3)" in failed["what"]
    assert failed["links"] == {"the run in Airflow": "/dags/retrain_planted/runs/night-3"}


def test_no_row_of_the_bad_batch_is_lost_and_none_was_let_through(stack, bad_batch):
    run = driving.context(stack, "planted", "night-3")
    ingested = run.record(Ingested)
    assert run.table("raw").read(ingested.window).num_rows == ingested.num_rows
    assert str(run.table("valid").newest_day()) == "2013-02-01"


@pytest.mark.slow
def test_a_mended_source_and_a_cleared_task_finish_the_night(stack, first, bad_batch):
    execute(stack, "UPDATE flights SET carrier = kept.carrier FROM kept WHERE kept.flight_id = flights.flight_id")
    execute(stack, "DROP TABLE kept")
    first.clear("retrain_planted", "night-3", ["ingest"], downstream=True)
    assert driving.finished(first, "retrain_planted", "night-3")[""] == "success"
    run = driving.context(stack, "planted", "night-3")
    validated = run.record(Validated)
    assert validated.num_valid + validated.num_quarantined == validated.num_ingested
    assert str(run.table("valid").newest_day()) == "2013-02-02"


def test_a_night_without_rows_is_skipped_in_seconds_and_says_why(stack, first):
    first.trigger("retrain_planted", "nothing", conf={"window": "2012-01-01/2012-01-03"})
    states = driving.finished(first, "retrain_planted", "nothing")
    assert states.pop("") == "success"
    assert set(states.values()) == {"skipped"}
    tasks = first.tasks("retrain_planted", "nothing")
    assert sum(task["duration"] or 0 for task in tasks) < 10
    said = first.error("retrain_planted", "nothing", next(task for task in tasks if task["task_id"] == "ingest"))
    assert "no rows in flights between 2012-01-01 and 2012-01-03" in said
