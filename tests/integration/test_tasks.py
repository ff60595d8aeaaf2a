"""Every task from its problem file alone: from real rows to a served answer, and to its truth."""

import json
import os
from contextlib import closing
from datetime import datetime

import psycopg2
import pytest

from ml import (
    deploy,
    evaluate,
    gate,
    ingest,
    monitor,
    prepare,
    promote,
    register,
    requests,
    samples,
    snapshot,
    train,
    understand,
    validate,
)
from ml.context import open_run
from ml.records import Evaluated, Monitored, Prepared, Trained
from ml.scoring import Scorer
from tests.integration import serving_kit
from tests.integration.flights_kit import NIGHT
from tests.integration.serving_kit import Service
from tests.integration.tasks_kit import ASKED, VIEW, Asked, write

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:mlflow")
STAGES = (ingest, validate, prepare, train, evaluate, gate, register)


class ServiceOfTasks(Service):
    """The real service with all five problems."""

    def environment(self):
        here = {name: os.environ[f"EVERGREEN_{name}"] for name in ("STORE", "PROBLEMS", "CLOCK_FILE")}
        return super().environment() | {f"EVERGREEN_{name}": value for name, value in here.items()}


@pytest.fixture(scope="module")
def asked_source(production):
    """Production with a view that holds every label."""
    with closing(psycopg2.connect(production)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(VIEW)
    return production


@pytest.fixture
def world(asked_source, home, mlflow_url, monkeypatch):
    """One night of one problem, with MLflow and the service."""
    samples.advance("flights", asked_source, datetime.fromisoformat(NIGHT))
    folder = home / "problems"
    folder.mkdir()
    monkeypatch.setenv("EVERGREEN_PROBLEMS", str(folder))
    for asked in ASKED:
        write(asked, folder)
    service = ServiceOfTasks(home, os.environ["EVERGREEN_DATABASE_URL"])
    for name, value in {"MLFLOW_URL": mlflow_url, "SERVING_URL": service.url, "SERVING_TOKEN": serving_kit.TOKEN}.items():
        monkeypatch.setenv(f"EVERGREEN_{name}", value)
    service.start()
    yield service
    service.stop()


# every other night is binary, the vector is a regression too, and several labels are several yes or no, as the vector is several
OTHERS_SHOW = ("binary", "regression", "multilabel")
ALL = [pytest.param(one, id=one.task, marks=[pytest.mark.slow] if one.task in OTHERS_SHOW else []) for one in ASKED]


@pytest.mark.parametrize("asked", ALL)
def test_a_night_ends_with_a_served_answer_that_meets_its_truth(asked: Asked, world):
    night = open_run(asked.name, "night")
    for stage in STAGES:
        stage.run(night)
    evaluated, trained = night.record(Evaluated), night.record(Trained)
    assert trained.export_difference < 1e-4
    assert evaluated.gains_over["prior"].value > 0, "nothing was learned"
    assert evaluated.reference is not None and set(evaluated.reference.baselines) == {"prior", "linear"}
    promoted = promote.run(night)
    deployed = deploy.run(open_run(asked.name, "deploy"))
    assert promoted is not None and deployed is not None and deployed.version == promoted.version == 1

    rows = snapshot.rows_of(night, "test")
    scorer = Scorer.load(night.file(snapshot.MODEL))
    served = world.predict(asked.name, requests_of(rows.slice(0, 300), scorer)).json()
    expected = scorer.answers(scorer.score(rows.slice(0, 300)))
    for told, answer in zip(served["predictions"], expected, strict=True):
        assert told["decision"] == answer["decision"]
        assert told["score"] == pytest.approx(answer["score"], abs=1e-6)
        assert told.get("scores") == (pytest.approx(answer["scores"], abs=1e-6) if "scores" in answer else None)

    world.wait_logged()
    logged = requests.find(night.settings.database_url, asked.name, served["request_id"])
    for row, answer in zip(logged, expected, strict=True):
        kept = json.loads(row["several"])["decision"] if row["several"] else row["decision"]
        assert kept == answer["decision"] and (row["several"] is None) == ("scores" not in answer)
    judged = monitor.run(open_run(asked.name, "evening"))
    assert isinstance(judged, Monitored)
    assert judged.num_labelled == 300
    # Scores of seven days of evaluation may lie too far apart for any shift to stand out.
    judgements = {kind: judged.verdicts[kind] for kind in ("data", "hurting", "concept", "schema")}
    assert set(judgements.values()) <= {"drift", "no drift"}, judged.reason
    assert understand.run(night).num_rows > 10_000
    assert (night.record(Prepared).train.means != {}) == (asked.task != "binary")


def requests_of(rows, scorer):
    """Rows as a client sends them, with their keys."""
    from ml.train.export import json_value

    plain = [{name: json_value(value) for name, value in row.items()} for row in rows.select(list(scorer.columns)).to_pylist()]
    return [{"key": key} | row for key, row in zip(rows["_key"].to_pylist(), plain, strict=True)]
