"""What a label means is turned around for good: seen by itself, retrained, promoted, deployed, and right on the next days.

From May on flights from Newark mean the opposite, while the winter's model serves. (Were all flights turned, the gate would
look for a leak: so large a gain is not believed.) The mirror case, in which the retrain is refused, is `test_drift_mirror`.
"""

import json
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pytest

from ml import ingest, metrics, requests, snapshot, validate
from ml.records import Evaluated, Verdict
from ml.scoring import Scorer
from tests.e2e import driving, turned_kit
from tests.e2e.turned_kit import Turned

pytestmark = pytest.mark.timeout(3000)
JUNE = ("2013-06-24", "2013-06-25", "2013-06-26", "2013-06-27", "2013-06-28")
NEXT = ("2013-06-30", "2013-07-01", "2013-07-02")
TRUTH = "sched_dep >= '2013-05-01' AND origin = 'EWR'"


@pytest.fixture(scope="module")
def summer(stack):
    """The winter's model serves."""
    with turned_kit.winter(stack, "summer") as flights:
        yield flights


@pytest.fixture(scope="module")
def chain(stack, progress, summer: Turned) -> dict[str, Any]:
    """Newark is turned from May on: serve the last week of June, learn its labels, monitor, and serve two days more."""
    one, found = summer.airflow, dict[str, Any]()
    summer.edit({"train_days = 60": "train_days = 40"})
    summer.turn(TRUTH)
    traffic = summer.serve(progress, JUNE)
    driving.set_clock(stack, "2013-06-30T03:00:00-04:00")
    # What arrived since is read and validated, but nobody learns from it: the winter's model goes on serving.
    night = replace(summer.context("catch-up"), window="2013-04-01/2013-06-30")
    ingest.run(night)
    validate.run(night)
    found["before"] = summer.answer(traffic.example)
    driving.set_clock(stack, "2013-06-30T05:30:00-04:00")
    found["states"], found["monitored"] = summer.monitored("morning")
    if found["monitored"].retrain:
        found["retrain"] = driving.set_off(one, "retrain_summer", "monitor_summer", "morning")
        found["promote"] = driving.set_off(one, "promote_summer", "retrain_summer", found["retrain"]["run_id"])
        found["deploy"] = driving.set_off(one, "deploy_summer", "promote_summer", found["promote"]["run_id"])
        found["after"] = summer.answer(traffic.example)
        summer.serve(progress, NEXT)
        driving.set_clock(stack, "2013-07-05T03:00:00-04:00")
    return found


def test_the_monitor_sees_concept_drift_by_itself(chain):
    print(chain["monitored"].model_dump_json(indent=1))
    assert chain["monitored"].num_labelled > 1000
    assert chain["monitored"].verdicts["concept"] == "drift"
    assert chain["monitored"].retrain


def test_drift_leads_to_a_retrain_a_promotion_and_a_new_answer(chain):
    assert chain["retrain"][""] == chain["promote"][""] == chain["deploy"][""] == "success"
    assert (chain["before"]["version"], chain["after"]["version"]) == (1, 2)
    assert chain["after"]["predictions"] != chain["before"]["predictions"]


def test_the_new_champion_won_on_the_same_rows(chain, summer):
    champion = summer.ledger.champion(summer.name)
    assert champion is not None and champion.version == 2
    one = summer.context(champion.run_key)
    assert one.record(Verdict).decision == "promote"
    evaluated = one.record(Evaluated)
    assert evaluated.champion_version == 1
    assert evaluated.gain_over_champion is not None and evaluated.gain_over_champion.value > 0


def test_on_the_next_days_the_served_answers_are_better_than_those_of_the_model_before_would_have_been(chain, summer):
    start = datetime.fromisoformat(f"{NEXT[0]}T06:00:00-04:00")
    served = requests.read(summer.context().settings.database_url, summer.name, start, start + timedelta(days=3))
    served = served.filter(pc.equal(served["version"], 2))
    truth = summer.outcomes()
    places = [place for place, key in enumerate(served["key"].to_pylist()) if key in truth]
    assert len(places) > 1000
    rows = served.take(places)
    winter = summer.ledger.succession(summer.name)[0]
    before = Scorer.load(snapshot.model_of(summer.context().store, winter.run_key, winter.model_digest))
    asked = before.table([json.loads(text) for text in rows["row"].to_pylist()])
    labels = np.array([truth[key] for key in rows["key"].to_pylist()])
    gain = metrics.paired_gain("log_loss", labels, requests.scores_of(rows), before.score(asked), confidence=0.99)
    print(f"log loss, better by, on {len(places)} answers: {gain.value:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}]")
    assert gain.low > 0


def test_the_request_is_answered_once_and_the_ledger_tells_the_story(chain, summer):
    assert summer.ledger.due(summer.name, "retrain") == []
    kinds = [entry.kind for entry in summer.ledger.entries(summer.name)]
    assert kinds.count("retrain_asked") == 1
    assert kinds.index("retrain_asked") < len(kinds) - 1 - kinds[::-1].index("promote")
    assert summer.refusals_told() == [], "a retrain that won needs no telling"
