"""A prediction service of one's own: one model, a free port of the loopback address, a folder that is thrown away."""

import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil  # type: ignore[import-untyped]

from ml.alone import MEGABYTE, PACKAGE, Row
from ml.context import Context
from ml.errors import DataError
from ml.ledger import Champion
from ml.snapshot import model_name

START_S, STOP_S = 180.0, 40.0
POLL_S = 0.05


@dataclass
class Scratch:
    """A running service; `start_s` is the time from its start to its first answer."""

    port: int
    token: str
    problem: str
    process: "subprocess.Popen[bytes]"
    log: Path
    start_s: float = 0.0

    @property
    def path(self) -> str:
        """Where rows are asked; what is asked here is no traffic, so nothing is logged."""
        return f"/problems/{self.problem}/predict?log=false"

    @property
    def memory_mb(self) -> float:
        """Of all its processes; one that has just ended holds nothing."""
        own, held = psutil.Process(self.process.pid), 0
        for one in (own, *own.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                held += one.memory_info().rss
        return float(held / MEGABYTE)

    def begin(self, version: Champion, row: Row, began: float) -> None:
        """Wait until it answers, with this version.

        Raises: DataError: it does not, with the last lines of its log.
        """
        with httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=START_S, trust_env=False) as client:
            headers = {"Authorization": f"Bearer {self.token}"}
            self._await_health(client, began)
            wanted = {"version": version.version, "run_key": version.run_key, "model_digest": version.model_digest}
            moved = client.put(f"/problems/{self.problem}/version", json=wanted, headers=headers)
            answer = client.post(self.path, json={"rows": [row]}, headers=headers) if moved.is_success else moved
            if not answer.is_success:
                raise DataError(f"A service with version {version.version} answers {answer.status_code}: {answer.text[:300]}")
        self.start_s = time.perf_counter() - began

    def _await_health(self, client: httpx.Client, began: float) -> None:
        while self.process.poll() is None and time.perf_counter() - began < START_S:
            try:
                client.get("/health")
            except httpx.TransportError:
                time.sleep(POLL_S)
            else:
                return
        raise DataError(f"A service for the load test did not start. The end of its log: {self.log.read_text()[-1000:]}")


@contextmanager
def serving(context: Context, version: Champion, folder: Path, row: Row) -> Iterator[Scratch]:
    """A service with one version, until the block ends; store, state and token are its own.

    Args:
        folder: the version's model folder.
        row: one that it can answer.
    Raises: DataError: it does not start or does not answer.
    """
    with tempfile.TemporaryDirectory(prefix="rehearsal-") as name:
        home, problem = Path(name), context.problem.name
        shutil.copytree(folder, home / "store" / problem / model_name(version.run_key))
        problems = context.folder_of_problem or context.settings.problems
        (home / "problems").mkdir()
        shutil.copy(problems / f"{problem}.toml", home / "problems")
        port, token = _free_port(), secrets.token_hex(16)
        began = time.perf_counter()
        with (home / "log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "ml.serving"], cwd=PACKAGE, env=_environment(home, port, token), stdout=log, stderr=log
            )
        try:
            scratch = Scratch(port, token, problem, process, home / "log")
            scratch.begin(version, row, began)
            yield scratch
        finally:
            _end(process)


def _environment(home: Path, port: int, token: str) -> dict[str, str]:
    plain = {name: value for name, value in os.environ.items() if not name.startswith("EVERGREEN_")}
    own = {
        "STORE": home / "store",
        "CACHE": home / "cache",
        "SERVING_STATE": home / "serving",
        "PROBLEMS": home / "problems",
        "DATABASE_URL": f"sqlite:///{home / 'state.db'}",
        "SERVING_URL": f"http://127.0.0.1:{port}",
        "SERVING_TOKEN": token,
    }
    path = os.pathsep.join(filter(None, (str(PACKAGE), plain.get("PYTHONPATH", ""))))
    return plain | {f"EVERGREEN_{name}": str(value) for name, value in own.items()} | {"PYTHONPATH": path}


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
