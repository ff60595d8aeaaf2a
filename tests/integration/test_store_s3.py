"""Whole nights with the store on a real S3 server: the same content as on disk, and a service that answers from it."""

import json
import os
import subprocess
import sys
import time

import httpx
import pytest

from ml import ingest, snapshot, validate
from ml.context import open_run
from ml.errors import ConfigError, TransientError
from ml.records import Ingested, Trained
from ml.serving.champions import serve_champion
from ml.serving.live import LiveModel
from ml.serving.schemas import Wanted
from ml.settings import PROJECT
from ml.store import store_of
from ml.window import Window
from tests.integration import serving_kit
from tests.integration.flights_kit import NIGHT
from tests.integration.serving_kit import ROWS, Service, make_model, score_of

JANUARY = Window.parse("2013-01-01/2013-02-01")


@pytest.fixture
def home(home, bucket, monkeypatch):
    """As in conftest, with a store in the bucket."""
    monkeypatch.setenv("EVERGREEN_STORE", f"s3://{bucket}/evergreen")
    return home


def content(context, table):
    rows = context.table(table).read(JANUARY)
    return sorted(map(str, rows.to_pylist()))


def test_ingest_and_validate_leave_in_s3_what_they_leave_on_disk(home, bucket, s3, monkeypatch):
    in_s3 = open_run("flights", "night")
    ingested, validated = ingest.run(in_s3), validate.run(in_s3)
    assert validated.num_valid + validated.num_quarantined == ingested.num_rows > 20_000
    versions = [in_s3.table(name).version for name in ("raw", "valid")]
    assert (ingest.run(in_s3), validate.run(in_s3)) == (ingested, validated)
    assert ingest.run(open_run("flights", "again")).version == ingested.version
    assert [in_s3.table(name).version for name in ("raw", "valid")] == versions

    monkeypatch.setenv("EVERGREEN_STORE", str(home / "store"))
    on_disk = open_run("flights", "night")
    ingest.run(on_disk)
    validate.run(on_disk)
    for name in ("raw", "valid"):
        assert content(in_s3, name) == content(on_disk, name)
    in_s3.store.delete("runs/again/ingest.json")
    names = {name for name in on_disk.store.names() if not name.endswith(".parquet")}
    assert {name for name in in_s3.store.names() if not name.endswith(".parquet")} == names
    assert not (home / "store" / "s3:").exists() and not (PROJECT / "s3:").exists()


def test_a_night_that_cannot_reach_its_store_says_so_and_goes_on_later(home, monkeypatch):
    with monkeypatch.context() as away:
        away.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
        with pytest.raises(TransientError, match="The object store does not answer at s3://"):
            ingest.run(open_run("flights", "night"))
    with monkeypatch.context() as nowhere:
        nowhere.setenv("EVERGREEN_STORE", "s3://nowhere/evergreen")
        with pytest.raises(ConfigError, match="There is no bucket 'nowhere'"):
            ingest.run(open_run("flights", "night"))
    context = open_run("flights", "night")
    assert not context.has(Ingested)
    assert ingest.run(context).num_rows > 20_000


class ServiceOnS3(Service):
    """The real service with a store in a bucket; it gets the AWS_* variables of the test."""

    bucket = ""

    def environment(self):
        return super().environment() | {
            "EVERGREEN_STORE": f"s3://{self.bucket}/evergreen",
            "EVERGREEN_CACHE": str(self.home / "service-cache"),
            "EVERGREEN_PROBLEMS": os.environ.get("EVERGREEN_PROBLEMS", str(self.home / "problems")),
        }


@pytest.fixture
def service(home, bucket):
    """A service, not yet started."""
    made = ServiceOnS3(home, os.environ["EVERGREEN_DATABASE_URL"])
    made.bucket = bucket
    made.clock.write_text(NIGHT)
    yield made
    made.stop()


def stored(service, version):
    """A model of the service's problem, trained elsewhere and put into the bucket."""
    made = make_model(service.home / "trained", "late", version)
    store = store_of("late", service.settings())
    with store.replacing(snapshot.model_name(made.run_key)) as folder:
        (service.home / "trained" / "late" / "runs" / made.run_key / "model").rename(folder)
    return made


def test_the_service_loads_models_from_s3_and_refuses_what_is_not_whole(service, bucket, s3):
    service.add_problem("late")
    first, second = stored(service, 1), stored(service, 2)
    service.start()
    assert service.put("late", first).status_code == 200
    answer = service.predict("late", ROWS).json()
    assert [round(one["score"], 5) for one in answer["predictions"]] == [round(score_of(1, row), 5) for row in ROWS]

    prefix = f"evergreen/late/{snapshot.model_name(second.run_key)}"
    s3.client().put_object(Bucket=bucket, Key=f"{prefix}/.writing-0", Body=b"")
    refused = service.put("late", second)
    assert refused.status_code == 409 and "is not in this service's store" in refused.text
    s3.client().delete_object(Bucket=bucket, Key=f"{prefix}/.writing-0")
    assert service.put("late", second).status_code == 200
    s3.client().put_object(Bucket=bucket, Key=f"{prefix}/model.json", Body=b"{}")
    service.stop()
    service.start()
    assert service.put("late", second).status_code == 409
    assert service.put("late", first).status_code == 200


def test_a_service_whose_store_is_away_when_it_starts_serves_the_champion_once_it_is_back(service, monkeypatch):
    """In process: the environment of a running service cannot be changed from outside."""
    service.add_problem("late")
    made = stored(service, 1)
    settings = service.settings()
    from ml import problem as problems

    live = LiveModel(problems.load("late", service.home / "problems"), store_of("late", settings), settings.now, service.home)
    with monkeypatch.context() as away:
        away.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
        assert serve_champion(live, Wanted(version=made), unless_moved_since=live.moves) is False, "worth another try"
        assert "does not answer" in live.complaint and live.state.current is None
    assert serve_champion(live, Wanted(version=made), unless_moved_since=live.moves) is True
    assert live.state.current is not None and live.complaint == ""


@pytest.mark.slow
def test_a_whole_night_by_commands_ends_with_a_service_that_answers_from_s3(home, service, mlflow_url, monkeypatch):
    for name, value in {"MLFLOW_URL": mlflow_url, "SERVING_URL": service.url, "SERVING_TOKEN": serving_kit.TOKEN}.items():
        monkeypatch.setenv(f"EVERGREEN_{name}", value)
    monkeypatch.setenv("EVERGREEN_PROBLEMS", str(PROJECT / "ml" / "problems"))
    night = evergreen("run", "--problem", "flights", "--run", "night")
    assert night["register"]["version"] == 1, night["gate"]
    service.start()
    assert evergreen("deploy", "--problem", "flights", refused=True)
    evergreen("promote", "--problem", "flights", "--version", "1")
    deployed = evergreen("deploy", "--problem", "flights")
    assert deployed["version"] == 1
    rows = deployed["request"]["rows"]
    answer = service.predict("flights", rows).json()
    assert abs(answer["predictions"][0]["score"] - deployed["expected_score"]) < 1e-5

    context = open_run("flights", "night")
    assert snapshot.model_of(context.store, "night", context.record(Trained).model_digest).is_dir()
    service.stop()
    service.start()
    wait_for(lambda: httpx.get(f"{service.url}/problems/flights").json().get("version") == 1)
    monitored = evergreen("monitor", "--problem", "flights", "--run", "evening")
    assert set(monitored["verdicts"]) and context.store.exists("runs/evening/monitor.html")
    assert not (PROJECT / "s3:").exists()


def evergreen(*command, refused=False):
    """Run `python -m ml` for real; its JSON, or whether it refused with status 1."""
    done = subprocess.run(
        [sys.executable, "-m", "ml", *command, "--json"], cwd=PROJECT, capture_output=True, text=True, check=False, timeout=250
    )
    if refused:
        return done.returncode == 1
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def wait_for(condition, timeout_s=30):
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.2)
