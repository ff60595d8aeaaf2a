"""Real parts that integration tests share: MLflow, the tables of the state, flights of a night and the settings for it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import httpx
import pytest

from ml import database as databases
from ml import samples
from ml.embedded.processes import free_port
from tests.integration.flights_kit import NIGHT


@pytest.fixture(scope="session")
def mlflow_url(database: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a running MLflow server, on Postgres as in production."""
    home: Path = tmp_path_factory.mktemp("mlflow")
    port = free_port(0)
    url = f"http://127.0.0.1:{port}"
    command = [
        *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
        *("--backend-store-uri", database("mlflow").replace("postgresql://", "postgresql+psycopg2://")),
        *("--artifacts-destination", str(home / "artifacts")),
    ]
    quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "PYTHONWARNINGS": "ignore"}
    with (home / "log").open("wb") as log:
        server = subprocess.Popen(command, cwd=home, env=os.environ | quiet, stdout=log, stderr=log, start_new_session=True)
    try:
        _wait(server, url, home / "log")
        yield url
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(30)


@pytest.fixture(scope="module")
def mlflow_file(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Address of an MLflow in a file, for tests that only ask it which versions there are."""
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow')}/mlflow.db"


@pytest.fixture(scope="module")
def state(database: Callable[[str], str]) -> str:
    """Address of a database with the tables of ledger, work and requests, for tests with problems of their own."""
    url = database("state")
    databases.migrate(url)
    return url


@pytest.fixture(scope="module")
def production(database: Callable[[str], str]) -> str:
    """Address of a source with the flights as they were known on NIGHT."""
    url = database("production")
    samples.load("flights", url)
    samples.advance("flights", url, datetime.fromisoformat(NIGHT))
    return url


@pytest.fixture
def home(production: str, database: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """It is NIGHT: a folder with its clock and an empty store, a fresh ledger, and no other settings in the environment."""
    for name in [name for name in os.environ if name.startswith("EVERGREEN_") and name != "EVERGREEN_DATA"]:
        monkeypatch.delenv(name)
    state = database("state")
    databases.migrate(state)
    (tmp_path / "clock").write_text(NIGHT)
    places = {"STORE": tmp_path / "store", "CACHE": tmp_path / "cache", "CLOCK_FILE": tmp_path / "clock"}
    for name, value in {**places, "SOURCE_URL": production, "DATABASE_URL": state}.items():
        monkeypatch.setenv(f"EVERGREEN_{name}", str(value))
    return tmp_path


def _wait(server: "subprocess.Popen[bytes]", url: str, log: Path) -> None:
    end = time.monotonic() + 120
    while time.monotonic() < end:
        assert server.poll() is None, log.read_text()
        try:
            httpx.get(f"{url}/health").raise_for_status()
        except httpx.HTTPError:
            time.sleep(0.2)
        else:
            return
    raise AssertionError(f"MLflow is not ready: {log.read_text()}")
