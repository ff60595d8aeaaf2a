"""A winter's model in summer: the monitor sees it, asks for a retrain, the gate lets it pass, and the service changes."""

from datetime import datetime
from typing import Any

import httpx
import pytest

from ml import samples
from ml.embedded.progress import Progress
from ml.embedded.traffic import send
from ml.ledger import Ledger
from ml.records import Evaluated, Monitored, Verdict
from tests.e2e import driving

pytestmark = pytest.mark.timeout(900)
DAYS = ("2013-06-24", "2013-06-25", "2013-06-26", "2013-06-27", "2013-06-28")


@pytest.fixture(scope="module")
def chain(stack, progress: Progress):
    """Train on January to March, serve the last week of June, learn its labels, monitor."""
    one = driving.airflow(stack)
    told: dict[str, Any] = {}
    problem = driving.add_problem(stack, "summer", lambda text: text.replace("history_days = 31", "history_days = 90"))
    driving.set_clock(stack, "2013-04-01T03:00:00-04:00")
    one.wait_for_dag("retrain_summer")
    one.trigger("retrain_summer", "winter", conf={"window": "2013-01-01/2013-04-01", "reason": "the winter's model"})
    assert driving.finished(one, "retrain_summer", "winter")[""] == "success"
    promoted = driving.set_off(one, "promote_summer", "retrain_summer", "winter")
    assert driving.set_off(one, "deploy_summer", "promote_summer", promoted["run_id"])[""] == "success"
    for day in DAYS:
        driving.set_clock(stack, f"{day}T12:00:00-04:00")
        start = datetime.fromisoformat(f"{day}T00:00:00-04:00")
        rows = samples.rows("flights", stack.loader_url, start, start.replace(hour=23), columns=list(problem.features))
        traffic = send(stack.serving_url, "summer", problem.source.key, rows, progress)
        assert traffic.num_failed == 0
    driving.set_clock(stack, "2013-06-30T03:00:00-04:00")
    # What arrived since is read and validated, but nothing is registered: the winter's model goes on serving.
    one.trigger("retrain_summer", "catch-up", conf={"window": "2013-04-25/2013-06-30", "dry_run": True})
    told["catch-up"] = driving.finished(one, "retrain_summer", "catch-up")
    told["before"] = answer(stack, traffic.example)
    driving.set_clock(stack, "2013-06-30T05:30:00-04:00")
    one.trigger("monitor_summer", "morning")
    told["monitor"] = driving.finished(one, "monitor_summer", "morning")
    told["monitored"] = driving.context(stack, "summer", "morning").record(Monitored)
    if told["monitored"].retrain:
        told["retrain"] = driving.set_off(one, "retrain_summer", "monitor_summer", "morning")
        told["promote"] = driving.set_off(one, "promote_summer", "retrain_summer", told["retrain"]["run_id"])
        told["deploy"] = driving.set_off(one, "deploy_summer", "promote_summer", told["promote"]["run_id"])
        told["after"] = answer(stack, traffic.example)
    return told


def answer(stack, row):
    return httpx.post(f"{stack.serving_url}/problems/summer/predict", json={"rows": [row]}, trust_env=False).json()


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
    runs = driving.context(stack, "summer", "any").store.fetch("runs")
    (folder,) = [path for path in runs.iterdir() if path.name.startswith("asset_triggered") and (path / "gate.json").exists()]
    one = driving.context(stack, "summer", folder.name)
    assert one.record(Verdict).decision == "promote"
    evaluated = one.record(Evaluated)
    assert evaluated.champion_version == 1
    assert evaluated.gain_over_champion is not None and evaluated.gain_over_champion.value > 0


def test_the_request_is_answered_once_and_the_ledger_tells_the_story(chain, stack):
    ledger = Ledger(stack.settings.database_url)
    assert ledger.due("summer", "retrain") == []
    kinds = [entry.kind for entry in ledger.entries("summer")]
    assert kinds.count("retrain_asked") == 1
    assert kinds.index("retrain_asked") < len(kinds) - 1 - kinds[::-1].index("promote")
