"""What a label means is turned around, twice: by mistake, and the new model is refused; for good, and it takes over.

The winter's model serves both times. In April two weeks of outcomes come in the wrong way around, then the feed is mended:
the monitor sees live quality fall and asks for a retrain, which learns from the wrong weeks and is refused on the right
one. From May on flights from Newark mean the opposite for good: the retrained model wins, serves, and is right on the
next days. (Were all flights turned, the gate would look for a leak: so large a gain is not believed.)
"""

import json
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import httpx
import numpy as np
import psycopg2
import pyarrow.compute as pc
import pytest
from retraining import runs

from ml import ingest, metrics, requests, samples, snapshot, validate
from ml.embedded.traffic import Traffic, send
from ml.ledger import Ledger
from ml.records import Evaluated, Monitored, Verdict
from ml.scoring import Scorer
from tests.e2e import driving

pytestmark = pytest.mark.timeout(900)
APRIL = ("2013-04-10", "2013-04-11", "2013-04-12")
JUNE = ("2013-06-24", "2013-06-25", "2013-06-26", "2013-06-27", "2013-06-28")
NEXT = ("2013-06-30", "2013-07-01", "2013-07-02")
MISTAKE = "sched_dep >= '2013-04-01' AND sched_dep < '2013-04-14'"
TRUTH = "sched_dep >= '2013-05-01' AND origin = 'EWR'"
VIEW = """
CREATE OR REPLACE VIEW turned_flights AS
    SELECT {columns}, CASE WHEN {turned} THEN NOT late_15 ELSE late_15 END AS late_15 FROM flights
"""


def turn(stack, turned: str) -> None:
    """Outcomes of these flights mean the opposite; a view of the production table, so that nothing else notices."""
    with closing(psycopg2.connect(stack.loader_url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute("SELECT * FROM flights LIMIT 0")
        columns = ", ".join(f'"{column.name}"' for column in cursor.description or () if column.name != "late_15")
        cursor.execute(VIEW.format(columns=columns, turned=turned))
        cursor.execute("GRANT SELECT ON turned_flights TO PUBLIC")


def edit(stack, changes: Mapping[str, str]) -> None:
    path = stack.problems / "summer.toml"
    text = path.read_text()
    for before, after in changes.items():
        assert before in text, before
        text = text.replace(before, after)
    path.write_text(text)


def serve(stack, progress, days) -> Traffic:
    """Ask about every flight of some days, each at its noon; the last day's traffic."""
    columns = list(driving.context(stack, "summer", "any").problem.features)
    for day in days:
        driving.set_clock(stack, f"{day}T12:00:00-04:00")
        start = datetime.fromisoformat(f"{day}T00:00:00-04:00")
        rows = samples.rows("flights", stack.loader_url, start, start.replace(hour=23), columns=columns)
        traffic = send(stack.serving_url, "summer", "flight_id", rows, progress)
        assert traffic.num_failed == 0
    return traffic


def answer(stack, row):
    return httpx.post(f"{stack.serving_url}/problems/summer/predict", json={"rows": [row]}, trust_env=False).json()


def monitored(stack, run_id: str) -> tuple[dict[str, str], Monitored]:
    """Trigger the monitor; states of its tasks, and what it found."""
    one = driving.airflow(stack)
    one.trigger("monitor_summer", run_id)
    return driving.finished(one, "monitor_summer", run_id), driving.context(stack, "summer", run_id).record(Monitored)


def told(stack) -> list[str]:
    """Keys of what people were told of refused retrains."""
    entries = Ledger(stack.settings.database_url).entries("summer")
    return [entry.key for entry in entries if entry.kind == "told" and "refused" in entry.key]


@pytest.fixture(scope="module")
def winter(stack):
    """The model of January to March, which serves."""
    one = driving.airflow(stack)
    turn(stack, "false")

    def calm(text: str) -> str:
        """The view instead of the table; that many labels turn is not stopped before it is learned from."""
        changed = text.replace("history_days = 31", "history_days = 90").replace('table = "flights"', 'table = "turned_flights"')
        changed = changed.replace("[success]", "[success]\nreference_share = 0.0")  # they keep what labels meant in winter
        return changed.replace("[validation.history]", "[validation.history]\nclass_balance = { warning = 9.0, critical = 10.0 }")

    driving.add_problem(stack, "summer", lambda text: calm(text) + "\n[contract]\nstop = false\n")
    driving.set_clock(stack, "2013-04-01T03:00:00-04:00")
    one.wait_for_dag("retrain_summer")
    one.trigger("retrain_summer", "winter", conf={"window": "2013-01-01/2013-04-01", "reason": "the winter's model"})
    assert driving.finished(one, "retrain_summer", "winter")[""] == "success"
    promoted = driving.set_off(one, "promote_summer", "retrain_summer", "winter")
    assert driving.set_off(one, "deploy_summer", "promote_summer", promoted["run_id"])[""] == "success"
    yield one
    with closing(psycopg2.connect(stack.loader_url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute("DROP VIEW turned_flights")  # other tests may change the table below it


@pytest.fixture(scope="module")
def mirror(stack, progress, winter) -> dict[str, Any]:
    """Two weeks of wrong labels, a week of right ones; the monitor asks, and the retrain learns what was wrong."""
    edit(stack, {"train_days = 60": "train_days = 21", "label_days = 7": "label_days = 21"})
    turn(stack, MISTAKE)
    found: dict[str, Any] = {"example": serve(stack, progress, APRIL).example}
    driving.set_clock(stack, "2013-04-22T03:00:00-04:00")
    night = replace(driving.context(stack, "summer", "april-data"), window="2013-04-01/2013-04-22")
    ingest.run(night)
    validate.run(night)
    driving.set_clock(stack, "2013-04-22T05:30:00-04:00")
    found["states"], found["monitored"] = monitored(stack, "april")
    if found["monitored"].retrain:
        found["retrain"] = driving.set_off(winter, "retrain_summer", "monitor_summer", "april")
    driving.set_clock(stack, "2013-04-23T05:30:00-04:00")
    found["next states"], found["next"] = monitored(stack, "april-next")
    return found


@pytest.fixture(scope="module")
def chain(stack, progress, winter, mirror) -> dict[str, Any]:
    """Newark is turned from May on: serve the last week of June, learn its labels, monitor, and serve two days more."""
    found: dict[str, Any] = {}
    edit(stack, {"train_days = 21": "train_days = 40", "label_days = 21": "label_days = 7"})
    turn(stack, TRUTH)
    traffic = serve(stack, progress, JUNE)
    driving.set_clock(stack, "2013-06-30T03:00:00-04:00")
    # What arrived since is read and validated, but nothing is registered: the winter's model goes on serving.
    winter.trigger("retrain_summer", "catch-up", conf={"window": "2013-04-01/2013-06-30", "dry_run": True})
    found["catch-up"] = driving.finished(winter, "retrain_summer", "catch-up")
    found["before"] = answer(stack, traffic.example)
    driving.set_clock(stack, "2013-06-30T05:30:00-04:00")
    found["states"], found["monitored"] = monitored(stack, "morning")
    if found["monitored"].retrain:
        found["retrain"] = driving.set_off(winter, "retrain_summer", "monitor_summer", "morning")
        found["promote"] = driving.set_off(winter, "promote_summer", "retrain_summer", found["retrain"]["run_id"])
        found["deploy"] = driving.set_off(winter, "deploy_summer", "promote_summer", found["promote"]["run_id"])
        found["after"] = answer(stack, traffic.example)
        serve(stack, progress, NEXT)
        driving.set_clock(stack, "2013-07-05T03:00:00-04:00")
    return found


def test_wrong_labels_bring_a_retrain_that_the_gate_refuses_and_the_champion_goes_on_serving(mirror, stack):
    assert mirror["monitored"].verdicts["concept"] == "drift" and mirror["monitored"].retrain
    assert mirror["retrain"][""] == "success" and mirror["retrain"]["announce"] == "skipped"
    first = driving.context(stack, "summer", runs.run_key(mirror["retrain"]["run_id"]))
    assert first.record(Verdict).decision != "promote" and not first.record(Verdict).dry_run
    assert first.record(Evaluated).candidate.metrics["auc"].value < 0.5, "it learned what was wrong"


def test_the_refusal_is_told_once_with_the_gates_reason(mirror, stack):
    (key,) = told(stack)
    ledger = Ledger(stack.settings.database_url)
    assert key == "v1-refused-2013-04-22"
    entry = ledger.find("summer", "told", key)
    assert entry is not None and "did not pass the gate, so version 1 goes on" in entry.body["why"]
    assert mirror["next states"]["tell"] == "success"
    assert ledger.outcome("summer", "tell", key) == "told by april-next"
    assert not mirror["next"].retrain and "cooldown is 7 days" in mirror["next"].reason
    page = monitor_pages(stack)
    assert "did not pass the gate" in page and "../runs/april-next/dossier.html" in page


def monitor_pages(stack) -> str:
    return driving.context(stack, "summer", "any").store.read("monitor/index.html").decode()


def test_a_dry_run_reads_and_judges_but_registers_nothing(chain, stack):
    assert chain["catch-up"][""] == "success"
    assert chain["catch-up"]["announce"] == "skipped"
    assert chain["before"]["version"] == 1


def test_the_monitor_sees_concept_drift_by_itself(chain):
    print(chain["monitored"].model_dump_json(indent=1))
    assert chain["monitored"].num_labelled > 1000
    assert chain["monitored"].verdicts["concept"] == "drift"
    assert chain["monitored"].retrain


def test_drift_leads_to_a_retrain_a_promotion_and_a_new_answer(chain):
    assert chain["retrain"][""] == chain["promote"][""] == chain["deploy"][""] == "success"
    assert chain["after"]["version"] == 2
    assert chain["after"]["predictions"] != chain["before"]["predictions"]


def test_the_new_champion_won_on_the_same_rows(chain, stack):
    champion = Ledger(stack.settings.database_url).champion("summer")
    assert champion is not None and champion.version == 2
    one = driving.context(stack, "summer", champion.run_key)
    assert one.record(Verdict).decision == "promote"
    evaluated = one.record(Evaluated)
    assert evaluated.champion_version == 1
    assert evaluated.gain_over_champion is not None and evaluated.gain_over_champion.value > 0


def test_on_the_next_days_the_served_answers_are_better_than_those_of_the_model_before_would_have_been(chain, stack):
    start = datetime.fromisoformat(f"{NEXT[0]}T06:00:00-04:00")
    served = requests.read(stack.settings.database_url, "summer", start, start + timedelta(days=3))
    served = served.filter(pc.equal(served["version"], 2))
    with closing(psycopg2.connect(stack.loader_url)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT flight_id, late_15 FROM turned_flights WHERE late_15 IS NOT NULL")
        truth = {str(key): float(late) for key, late in cursor.fetchall()}
    places = [place for place, key in enumerate(served["key"].to_pylist()) if key in truth]
    assert len(places) > 1000
    rows = served.take(places)
    winter = Ledger(stack.settings.database_url).succession("summer")[0]
    before = Scorer.load(snapshot.model_of(driving.context(stack, "summer", "any").store, winter.run_key, winter.model_digest))
    asked = before.table([json.loads(text) for text in rows["row"].to_pylist()])
    labels = np.array([truth[key] for key in rows["key"].to_pylist()])
    gain = metrics.paired_gain("log_loss", labels, requests.scores_of(rows), before.score(asked), confidence=0.99)
    print(f"log loss, better by, on {len(places)} answers: {gain.value:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}]")
    assert gain.low > 0


def test_the_request_is_answered_once_and_the_ledger_tells_the_story(chain, stack):
    ledger = Ledger(stack.settings.database_url)
    assert ledger.due("summer", "retrain") == []
    kinds = [entry.kind for entry in ledger.entries("summer")]
    assert kinds.count("retrain_asked") == 2  # the mistake, and the truth
    assert kinds.index("retrain_asked") < len(kinds) - 1 - kinds[::-1].index("promote")
    assert len(told(stack)) == 1, "a retrain that won needs no telling"
