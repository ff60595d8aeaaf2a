"""Real parts that integration tests share: one MLflow server per session, on Postgres as in production."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from ml.embedded.processes import free_port


@pytest.fixture(scope="session")
def mlflow_url(database: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a running MLflow server."""
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
