"""Whatever the service leans on is killed under load, one after another: nobody is refused, and every answer is in the log."""

import os
import shutil
import signal
import sys
from collections import Counter
from collections.abc import Callable

import httpx
import psutil  # type: ignore[import-untyped]
import pytest

from ml import requests
from ml.database import migrate
from ml.embedded.processes import Program, free_port
from ml.ledger import Ledger
from ml.store import store_of
from tests.integration.serving_kit import (
    ROWS,
    Service,
    Traffic,
    kill_postgres,
    make_model,
    make_postgres,
    promote,
    traffic,
)
from tests.integration.test_serving_workers import EVER
from tests.object_store import ObjectStore

CLIENTS, WORKERS, ENOUGH = 3, 2, 100  # answers between one blow and the next


@pytest.fixture
def database_server(tmp_path):
    server = make_postgres(tmp_path / "postgres")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def object_store(tmp_path, monkeypatch):
    """A server of the test's own; the environment leads the service to it."""
    server = ObjectStore(tmp_path / "s3")
    server.start()
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    yield server
    server.stop()


@pytest.fixture
def mlflow(tmp_path, database_server):
    """A registry beside the others, as in production."""
    port, backend = free_port(0), database_server.create_database("mlflow").replace("postgresql://", "postgresql+psycopg2://")
    command = [sys.executable, "-m", "mlflow", "server", "--port", str(port), "--workers", "1", "--backend-store-uri", backend]
    quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "PYTHONWARNINGS": "ignore"}
    server = Program("mlflow", tmp_path)
    server.start([*command, "--artifacts-destination", str(tmp_path / "artifacts")], os.environ | quiet)
    url = f"http://127.0.0.1:{port}"
    server.wait_until(lambda: answers(f"{url}/health"))
    yield server, url
    server.stop()


@pytest.fixture
def service(tmp_path, database_server, object_store, mlflow):
    """Champion 1 of a problem whose models lie in the object store."""
    more = {"EVERGREEN_STORE": f"s3://{object_store.bucket()}/evergreen", "EVERGREEN_MLFLOW_URL": mlflow[1]}
    service = Service(tmp_path, database_server.create_database("evergreen"), workers=WORKERS, more=more)
    service.add_problem("flights")
    migrate(service.database_url)
    put_champion(service, 1, None)
    service.start()
    service.wait_for(lambda health: len(health["workers"]) == WORKERS, 90)
    yield service
    service.stop(signal.SIGKILL)


def answers(url: str) -> bool:
    try:
        return httpx.get(url).is_success
    except httpx.TransportError:
        return False


def put_champion(service: Service, version: int, expected: int | None, meanwhile: Callable[[], None] = lambda: None) -> None:
    """A model in the object store, named champion by the ledger once `meanwhile` has happened."""
    made = make_model(service.home / "made", "flights", version)
    with store_of("flights", service.settings()).replacing(f"runs/{made.run_key}/model") as folder:
        shutil.copytree(service.home / "made" / "flights" / "runs" / made.run_key / "model", folder)
    meanwhile()
    promote(Ledger(service.database_url), "flights", made, expected)


def go_on(heard: Traffic, service: Service) -> None:
    """Let the clients have more answers, and nothing but answers."""
    before = len(heard.answers)
    service.wait_for(lambda _: len(heard.answers) >= before + ENOUGH, 120)
    assert heard.refused == []


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_nobody_is_refused_and_nothing_is_lost_whatever_is_killed(service, database_server, object_store, mlflow):
    with traffic(service, CLIENTS) as heard:
        go_on(heard, service)
        mlflow[0].stop(by=signal.SIGKILL)
        go_on(heard, service)

        put_champion(service, 2, 1, meanwhile=object_store.stop)
        service.wait_for(lambda health: health["complaints"], 90)
        go_on(heard, service)
        assert {answer["version"] for answer in heard.answers} == {1}
        object_store.start()
        service.wait_for(lambda health: health["problems"]["flights"]["version"] == 2 and not health["complaints"], 120)
        go_on(heard, service)

        kill_postgres(database_server)
        service.wait_for(lambda health: health["log"]["error"], 60)
        go_on(heard, service)
        database_server.start()
        service.wait_for(lambda health: not health["log"]["error"], 60)
        go_on(heard, service)
        assert heard.broken == []

        killed = service.health()["workers"][0]
        psutil.Process(killed).kill()
        service.wait_for(lambda health: len(health["workers"]) == WORKERS and killed not in health["workers"], 90)
        go_on(heard, service)

    assert heard.refused == []
    assert len(heard.broken) <= CLIENTS  # at most one request of each was in the killed worker's hands
    assert service.wait_logged(60)["dropped"] == 0
    logged = Counter(requests.read(service.database_url, "flights", *EVER)["request_id"].to_pylist())
    answered = {answer["request_id"]: len(ROWS) for answer in heard.answers}
    assert {request: logged[request] for request in answered} == answered
    assert len(logged) - len(answered) <= len(heard.broken)  # answered and logged, but the worker died before it could say so
