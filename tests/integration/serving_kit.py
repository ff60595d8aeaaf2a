"""What tests of the service share: tiny real models, a problem file, and the real service in a process of its own."""

import json
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from ml.embedded.postgres import OWNER, READER, Postgres
from ml.embedded.processes import free_port
from ml.ledger import Champion, Entry, Ledger
from ml.serving.schemas import Version
from ml.settings import PROJECT, Settings
from ml.store import digest

TOKEN = "a token of the tests"
FAR = 1e6
YES_OR_NO = {"task": "binary", "outputs": ["late"], "thresholds": [0.05]}
FEATURES = {"carrier": {"type": "category"}, "distance": {"type": "number"}}
ROWS: list[dict[str, Any]] = [
    {"carrier": "UA", "distance": 1400.0},
    {"carrier": "ZZ", "distance": None},
    {"carrier": None, "distance": 200},
]
PROBLEM = """
[problem]
name = "{name}"
title = "Will it be late?"
task = "binary"
owner = "tests"

[source]
table = "flights"
key = "id"
event_time = "sched_dep"
label = "late"
label_time = "arrived"

[features]
carrier = {{type = "category"}}
distance = {{type = "number"}}
"""


def score_of(version: int, row: dict[str, Any]) -> float:
    """What version `version` answers; far enough apart that no two versions are mixed up."""
    known = {"UA": 0.5, "AA": 0.25}.get(row["carrier"] or "", 0.0)
    distance = row["distance"] if row["distance"] is not None else 0.0
    return float(np.float32(version / 1000) + np.float32(known) * np.float32(0.1) + np.float32(distance) * np.float32(1e-5))


def make_model(
    store: Path, problem: str, version: int, *, run_key: str = "", example_of: int | None = None, kind: str = ""
) -> Version:
    """A model folder as training writes it; with `example_of` its example holds another version's scores.

    Args:
        kind: `slow` takes some ten milliseconds more, `fails` cannot score distances from FAR on; their examples are as good
            as any.
    """
    import tensorflow as tf

    class Net(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            names = tf.lookup.KeyValueTensorInitializer(["UA", "AA"], [0.5, 0.25])
            self.known = tf.lookup.StaticHashTable(names, 0.0)
            self.base = tf.Variable(version / 1000, dtype=tf.float32)

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "carrier"), tf.TensorSpec([None], tf.float32, "distance")])
        def serve(self, carrier: Any, distance: Any) -> dict[str, Any]:
            distance = tf.where(tf.math.is_nan(distance), 0.0, distance)
            nothing = tf.constant(0.0)
            if kind == "slow":
                heavy = tf.fill([500, 500], 1e-3 + 0.0 * tf.reduce_sum(distance))
                for _ in range(12):
                    heavy = tf.matmul(heavy, heavy) * 1e-3
                nothing = 0.0 * tf.reduce_sum(heavy)
            if kind == "fails":
                with tf.control_dependencies([tf.debugging.assert_less(distance, FAR, "a distance that this model cannot take")]):
                    distance = tf.identity(distance)
            return {"score": self.base + self.known.lookup(carrier) * 0.1 + distance * 1e-5 + nothing}

    run_key = run_key or f"run-{version}"
    folder = store / problem / "runs" / run_key / "model"
    folder.mkdir(parents=True)
    net = Net()
    tf.saved_model.save(net, str(folder / "saved_model"), signatures={"serving_default": net.serve})
    about = {"problem": problem, "run_key": run_key, "features": FEATURES, "timezone": "UTC"} | YES_OR_NO
    (folder / "model.json").write_text(json.dumps(about))
    scores = [score_of(example_of or version, row) for row in ROWS]
    (folder / "example.json").write_text(json.dumps({"rows": ROWS, "scores": scores}))
    return Version(version=version, run_key=run_key, model_digest=digest(folder))


def make_postgres(home: Path) -> Postgres:
    """A server of the test's own, so that killing it hurts nobody else."""
    return Postgres(home, free_port(0), {user: secrets.token_hex(8) for user in ("postgres", OWNER, READER)})


def kill_postgres(server: Postgres) -> None:
    """End it as a power cut would, and its workers with it."""
    import psutil  # type: ignore[import-untyped]

    pid = server.program.pid
    assert pid is not None
    parent = psutil.Process(pid)
    family = [parent, *parent.children(recursive=True)]
    for process in family:
        with suppress(psutil.NoSuchProcess):  # workers end by themselves once their parent is gone
            process.kill()
    psutil.wait_procs(family, timeout=20)


@dataclass
class Service:
    """The real service: `python -m ml.serving` on a free port."""

    home: Path
    database_url: str
    token: str = TOKEN
    workers: int = 1
    more: dict[str, str] = field(default_factory=dict)
    port: int = field(default_factory=lambda: free_port(0))
    grpc: str = ""
    python: str = sys.executable
    process: subprocess.Popen[bytes] | None = None

    @property
    def store(self) -> Path:
        return self.home / "store"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        return self.home / "serving.log"

    @property
    def clock(self) -> Path:
        return self.home / "clock"

    def add_problem(self, name: str) -> None:
        folder = self.home / "problems"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.toml").write_text(PROBLEM.format(name=name))

    def environment(self) -> dict[str, str]:
        return {
            "EVERGREEN_STORE": str(self.store),
            "EVERGREEN_DATABASE_URL": self.database_url,
            "EVERGREEN_SERVING_URL": self.url,
            "EVERGREEN_SERVING_TOKEN": self.token,
            "EVERGREEN_SERVING_STATE": str(self.home / "serving"),
            "EVERGREEN_SERVING_GRPC": self.grpc,
            "EVERGREEN_PROBLEMS": str(self.home / "problems"),
            "EVERGREEN_CLOCK_FILE": str(self.clock),
            "EVERGREEN_CACHE": str(self.home / "cache"),
            "EVERGREEN_SERVING_WORKERS": str(self.workers),
            **self.more,
        }

    def settings(self) -> Settings:
        from ml.settings import read

        return read(self.environment())

    def start(self, timeout_s: float = 90) -> None:
        plain = {name: value for name, value in os.environ.items() if not name.startswith("EVERGREEN_")}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [self.python, "-m", "ml.serving"],
                cwd=PROJECT,
                env=plain | self.environment() | {"PYTHONPATH": str(PROJECT), "PYTHONWARNINGS": "ignore"},
                stdout=log,
                stderr=log,
            )
        end = time.monotonic() + timeout_s
        while time.monotonic() < end:
            assert self.process.poll() is None, self.log.read_text()
            try:
                httpx.get(f"{self.url}/health")
            except httpx.TransportError:
                time.sleep(0.1)
            else:
                return
        self.stop(signal.SIGKILL)
        raise AssertionError(f"not ready: {self.log.read_text()}")

    def stop(self, by: int = signal.SIGTERM) -> int:
        """End it, return its exit status."""
        if self.process is None:
            return 0
        if self.process.poll() is None:
            self.process.send_signal(by)
        status = self.process.wait(60)
        self.process = None
        return status

    def put(self, problem: str, version: Version, token: str = TOKEN) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx.put(f"{self.url}/problems/{problem}/version", json=version.model_dump(), headers=headers, timeout=60)

    def predict(self, problem: str, rows: Any, client: httpx.Client | None = None) -> httpx.Response:
        post = client.post if client else httpx.post
        return post(f"{self.url}/problems/{problem}/predict", json={"rows": rows}, timeout=60)

    def health(self) -> dict[str, Any]:
        answer: dict[str, Any] = httpx.get(f"{self.url}/health").json()
        return answer

    def wait_logged(self, timeout_s: float = 30) -> dict[str, Any]:
        """Wait until every answer is in the request log; returns the counts."""
        return self.wait_for(lambda health: health["log"]["waiting"] == 0, timeout_s)["log"]

    def wait_for(self, holds: Any, timeout_s: float = 30) -> dict[str, Any]:
        """Wait until /health says what is hoped for; returns it."""
        end = time.monotonic() + timeout_s
        while time.monotonic() < end:
            if holds(health := self.health()):
                return health
            time.sleep(0.1)
        raise AssertionError(f"{self.health()}\n{self.log.read_text()}")


@contextmanager
def running(service: Service) -> Iterator[Service]:
    """The service from start to end."""
    service.start()
    try:
        yield service
    finally:
        service.stop()


def promote(ledger: Ledger, problem: str, to: Version, expected: int | None) -> Entry:
    champion = Champion(to.version, to.run_key, to.model_digest)
    return ledger.move(problem, to=champion, expected=expected, kind="promote", key=to.run_key, actor="test")


@dataclass
class Traffic:
    """What some clients heard while they asked without a pause."""

    answers: list[dict] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)  # anything but 200
    broken: list[str] = field(default_factory=list)  # connections that ended without an answer


@contextmanager
def traffic(service: Service, clients: int = 4) -> Iterator[Traffic]:
    """Ask all the time, each client over one connection."""
    heard, ended = Traffic(), threading.Event()

    def ask() -> None:
        with httpx.Client() as client:
            while not ended.is_set():
                try:
                    response = service.predict("flights", ROWS, client)
                except httpx.TransportError as error:
                    heard.broken.append(repr(error))
                else:
                    (heard.answers if response.status_code == 200 else heard.refused).append(response.json())

    with ThreadPoolExecutor(clients) as threads:
        asking = [threads.submit(ask) for _ in range(clients)]
        try:
            yield heard
        finally:
            ended.set()
        assert [one.result() for one in asking] == [None] * clients
    for answer in heard.answers:
        scores = [prediction["score"] for prediction in answer["predictions"]]
        assert scores == pytest.approx([score_of(answer["version"], row) for row in ROWS], abs=1e-6)
