"""Labels turned around by mistake: the monitor asks for a retrain, the gate refuses it, people are told once.

In April two weeks of outcomes come in the wrong way around, then the feed is mended: the monitor sees live quality fall and
asks for a retrain, which learns from the wrong weeks and is refused on the right one. The winter's model serves all the time.
"""

from dataclasses import replace
from typing import Any

import pytest
from retraining import runs

from ml import ingest, validate
from ml.records import Evaluated, Verdict
from tests.e2e import driving, turned_kit
from tests.e2e.turned_kit import Turned

pytestmark = [pytest.mark.timeout(3000), pytest.mark.slow]
NAME = "mistaken"
APRIL = ("2013-04-10", "2013-04-11", "2013-04-12")
MISTAKE = "sched_dep >= '2013-04-01' AND sched_dep < '2013-04-14'"


@pytest.fixture(scope="module")
def flights(stack):
    """The winter's model serves."""
    with turned_kit.winter(stack, NAME) as made:
        yield made


@pytest.fixture(scope="module")
def mirror(stack, progress, flights: Turned) -> dict[str, Any]:
    """Two weeks of wrong labels, a week of right ones; the monitor asks, and the retrain learns what was wrong."""
    flights.edit({"train_days = 60": "train_days = 21", "label_days = 7": "label_days = 21"})
    flights.turn(MISTAKE)
    found: dict[str, Any] = {"example": flights.serve(progress, APRIL).example}
    driving.set_clock(stack, "2013-04-22T03:00:00-04:00")
    night = replace(flights.context("april-data"), window="2013-04-01/2013-04-22")
    ingest.run(night)
    validate.run(night)
    driving.set_clock(stack, "2013-04-22T05:30:00-04:00")
    found["states"], found["monitored"] = flights.monitored("april")
    if found["monitored"].retrain:
        found["retrain"] = driving.set_off(flights.airflow, f"retrain_{NAME}", f"monitor_{NAME}", "april")
    driving.set_clock(stack, "2013-04-23T05:30:00-04:00")
    found["next states"], found["next"] = flights.monitored("april-next")
    return found


def test_wrong_labels_bring_a_retrain_that_the_gate_refuses_and_the_champion_goes_on_serving(mirror, flights):
    assert mirror["monitored"].verdicts["concept"] == "drift" and mirror["monitored"].retrain
    assert mirror["retrain"][""] == "success" and mirror["retrain"]["announce"] == "skipped"
    first = flights.context(runs.run_key(mirror["retrain"]["run_id"]))
    assert first.record(Verdict).decision != "promote" and not first.record(Verdict).dry_run
    assert first.record(Evaluated).candidate.metrics["auc"].value < 0.5, "it learned what was wrong"
    assert flights.answer(mirror["example"])["version"] == 1


def test_the_refusal_is_told_once_with_the_gates_reason(mirror, flights):
    (key,) = flights.refusals_told()
    assert key == "v1-refused-2013-04-22"
    entry = flights.ledger.find(NAME, "told", key)
    assert entry is not None and "did not pass the gate, so version 1 goes on" in entry.body["why"]
    assert mirror["next states"]["tell"] == "success"
    assert flights.ledger.outcome(NAME, "tell", key) == "told by april-next"
    assert not mirror["next"].retrain and "cooldown is 7 days" in mirror["next"].reason
    page = flights.context().store.read("monitor/index.html").decode()
    assert "did not pass the gate" in page and "../runs/april-next/dossier.html" in page


def test_a_dry_run_reads_and_judges_but_registers_nothing(stack, flights, mirror):
    driving.set_clock(stack, "2013-04-24T03:00:00-04:00")
    flights.airflow.trigger(f"retrain_{NAME}", "dry", conf={"window": "2013-04-01/2013-04-24", "dry_run": True})
    states = driving.finished(flights.airflow, f"retrain_{NAME}", "dry")
    assert (states[""], states["announce"]) == ("success", "skipped")
    assert flights.context("dry").record(Verdict).dry_run
    assert flights.answer(mirror["example"])["version"] == 1
