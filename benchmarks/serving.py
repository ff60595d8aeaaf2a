"""What an answer costs: our service beside `mlflow models serve`, a tutorial's FastAPI, and a bare function around the same core.

All serve one model of real flights, trained by the stages of a night, one process on one core each; the client and the
database have another core. Ours has validation, keys, metrics and request log switched on. Loads go round in turns, and the
median of the rounds counts. A client of our own asks (benchmarks/load.py says why).
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import psutil  # type: ignore[import-untyped]

from benchmarks.load import Measured, load, request_of
from ml.embedded.postgres import OWNER, READER, Postgres
from ml.embedded.processes import free_port
from ml.settings import PROJECT

NIGHT = "2013-02-01T03:00:00-05:00"
LOADS = {"1 row, 1 connection": (1, 1), "1 row, 16 connections": (1, 16), "64 rows, 1 connection": (64, 1)}
ROUNDS, SECONDS, WARM_S = 3, 5.0, 2.0
TIMES_MLFLOW, TIMES_BARE, TIMES_MEDIAN = 10.0, 4.0, 3.0  # the goals
CORES = sorted(os.sched_getaffinity(0))
TOKEN = "of the benchmark"  # noqa: S105  # of a service that ends with it  # nosec B105
NEVER_REACHED = 10**9  # requests a minute: the limit is counted at every request and stops none


@dataclass
class Case:
    """A program that serves, and where."""

    name: str
    command: list[str]
    url: str
    log: Path
    body: Callable[[list[dict[str, Any]]], dict[str, Any]] = lambda rows: {"rows": rows}
    environment: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    prepare: Callable[["Case"], None] = lambda _case: None
    process: subprocess.Popen[bytes] | None = None
    cold_start_s: float = 0.0

    @property
    def family(self) -> list[psutil.Process]:
        """The program and what it has started."""
        assert self.process
        parent = psutil.Process(self.process.pid)
        return [parent, *parent.children(recursive=True)]

    def cpu_s(self) -> float:
        """CPU seconds of all of them."""
        return sum(sum(process.cpu_times()[:2]) for process in self.family)

    def memory_mb(self) -> float:
        """What all of them occupy, pages that they share counted once."""
        return float(sum(process.memory_full_info().pss for process in self.family)) / 2**20

    def wait(self, ready: Callable[[], bool], timeout_s: float = 300) -> None:
        """Until it answers."""
        end = time.monotonic() + timeout_s
        while time.monotonic() < end:
            assert self.process and self.process.poll() is None, f"{self.name} has ended: {self.log.read_text()[-2000:]}"
            try:
                if ready():
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.02)
        raise AssertionError(f"{self.name} does not answer: {self.log.read_text()[-2000:]}")


def main() -> None:
    """Run the cases, print the table, and as the last line everything as JSON."""
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("--seconds", type=float, default=SECONDS, help="of each load in each round")
    given.add_argument("--rounds", type=int, default=ROUNDS)
    asked = given.parse_args()
    with tempfile.TemporaryDirectory(prefix="evergreen-bench-") as home, ExitStack() as stack:
        server = stack.enter_context(_postgres(Path(home)))
        night = _night(Path(home), server)
        model = Path(home) / "store" / "flights" / "runs" / "bench" / "model"
        rows = json.loads((model / "example.json").read_text())["rows"][:2]
        cases = [stack.enter_context(_running(case, rows)) for case in _cases(Path(home), model, night)]
        measured = _measure(cases, rows, asked.rounds, asked.seconds)
        table = [_row(case, measured[case.name]) for case in cases]
    for row in table:
        _show(row)
    print(json.dumps({"bench": "serving", "machine": _machine(), "goals": _goals(table), "rows": table}))


def _goals(table: list[dict[str, Any]]) -> list[dict[str, Any]]:
    ours, mlflow, bare = ({row["case"]: row for row in table}[name] for name in ("evergreen", "mlflow", "bare"))
    one, many = "1 row, 1 connection", "1 row, 16 connections"
    faster = {load: ours[load]["per_s"] / mlflow[load]["per_s"] for load in (one, many)}
    return [
        *(_goal(f"answers/s of those of mlflow models serve, {load}", times, TIMES_MLFLOW) for load, times in faster.items()),
        _goal(
            "p99 of that of mlflow models serve, 16 connections", ours[many]["p99_ms"] / mlflow[many]["p99_ms"], 1.0, most=True
        ),
        _goal("CPU an answer of that of the bare core", ours[many]["cpu_us"] / bare[many]["cpu_us"], TIMES_BARE, most=True),
        _goal("p99 of the median, 1 row, 1 connection", ours[one]["p99_ms"] / ours[one]["p50_ms"], TIMES_MEDIAN, most=True),
    ]


def _goal(name: str, value: float, goal: float, *, most: bool = False) -> dict[str, Any]:
    holds = value <= goal if most else value >= goal
    return {"name": name, "value": round(value, 3), "unit": "times", "goal": goal, "holds": holds}


def _cases(home: Path, model: Path, night: dict[str, str]) -> list[Case]:
    """Ours twice: as it runs by default, and with the SavedModel as for a model whose light core was not published."""
    import mlflow.models

    from ml.problem import Feature
    from ml.registry import package

    about = json.loads((model / "model.json").read_text())
    package.write(
        home / "mlflow", model, {n: Feature.model_validate(f) for n, f in about["features"].items()}, mlflow.models.Model()
    )
    heavy = model.parents[1] / "heavy" / "model"
    shutil.copytree(model, heavy)
    (heavy / "exports.json").unlink(missing_ok=True)
    ports = [free_port(0) for _ in range(5)]
    url = [f"http://127.0.0.1:{port}" for port in ports]

    serve = [sys.executable, "-m", "mlflow", "models", "serve", "-m", str(home / "mlflow"), "--env-manager", "local", "-w", "1"]
    apps = [sys.executable, "-m", "benchmarks.serving_apps"]

    def log(name: str) -> Path:
        return home / f"{name}.log"

    def frame(rows: list[dict[str, Any]]) -> dict[str, Any]:
        return {"dataframe_records": rows}

    return [
        _ours("evergreen", home, model, url[0], night),
        _ours("evergreen, SavedModel", home, heavy, url[1], night),
        Case("mlflow", [*serve, "-p", str(ports[2])], f"{url[2]}/invocations", log("mlflow"), frame),
        Case("fastapi", [*apps, "fastapi", str(model), str(ports[3])], f"{url[3]}/predict", log("fastapi")),
        Case("bare", [*apps, "bare", str(model), str(ports[4])], f"{url[4]}/", log("bare")),
    ]


def _ours(name: str, home: Path, model: Path, url: str, night: dict[str, str]) -> Case:
    """One worker, asked with the API key of a client that has a rate limit; a deployment tells it what to serve."""
    from ml import keys
    from ml.store import digest

    asked = keys.Asked(client=name, per_minute=NEVER_REACHED)
    _, key = keys.new(night["EVERGREEN_DATABASE_URL"], asked, actor="benchmark", now=datetime.fromisoformat(NIGHT))

    def prepare(case: Case) -> None:
        case.wait(lambda: httpx.get(f"{url}/health").is_success)
        version = {"version": 1, "run_key": model.parent.name, "model_digest": digest(model)}
        token = {"Authorization": f"Bearer {TOKEN}"}
        httpx.put(f"{url}/problems/flights/version", json=version, headers=token, timeout=300).raise_for_status()
        assert httpx.post(place, json={"rows": []}, timeout=60).status_code == 401, f"{name} lets in who has no key"

    place = f"{url}/problems/flights/predict"
    own = {"EVERGREEN_SERVING_URL": url, "EVERGREEN_SERVING_TOKEN": TOKEN, "EVERGREEN_SERVING_WORKERS": "1"}
    command = [sys.executable, "-m", "ml.serving"]
    bearer = {"Authorization": f"Bearer {key}"}
    return Case(name, command, place, home / f"{name}.log", environment=night | own, headers=bearer, prepare=prepare)


@contextmanager
def _running(case: Case, rows: list[dict[str, Any]]) -> Iterator[Case]:
    """On the first core; the time until it first answers is its cold start."""
    began = time.monotonic()
    plain = {name: value for name, value in os.environ.items() if not name.startswith("EVERGREEN_")}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # MLflow starts a program of the environment by name
    environment = plain | {"PATH": path, "PYTHONPATH": str(PROJECT), "TF_CPP_MIN_LOG_LEVEL": "2"} | case.environment
    with case.log.open("wb") as log:
        pinned = ["taskset", "-c", str(CORES[0]), *case.command]
        case.process = subprocess.Popen(pinned, env=environment, stdout=log, stderr=log)
        case.prepare(case)
        case.wait(lambda: httpx.post(case.url, json=case.body(rows[:1]), headers=case.headers, timeout=60).is_success)
        case.cold_start_s = time.monotonic() - began
        try:
            yield case
        finally:
            for process in case.family:
                process.terminate()
            case.process.wait(60)


def _measure(
    cases: list[Case], rows: list[dict[str, Any]], rounds: int, seconds: float
) -> dict[str, dict[str, list[dict[str, float]]]]:
    found: dict[str, dict[str, list[dict[str, float]]]] = {case.name: {load: [] for load in LOADS} for case in cases}
    psutil.Process().cpu_affinity([CORES[-1]])
    for number in range(rounds):
        for name, (size, connections) in LOADS.items():
            for case in cases:
                body = json.dumps(case.body([rows[place % len(rows)] for place in range(size)])).encode()
                request = request_of(case.url, body, case.headers)
                if number == 0:
                    load(case.url, request, connections=connections, seconds=WARM_S)
                before = case.cpu_s()
                measured = load(case.url, request, connections=connections, seconds=seconds)
                found[case.name][name].append(_figures(measured, case.cpu_s() - before))
    return found


def _figures(measured: Measured, cpu_s: float) -> dict[str, float]:
    if measured.failed:
        raise AssertionError(f"{measured.failed} of {len(measured.latencies)} answers were not 200")
    return {
        "per_s": round(measured.per_second, 1),
        "p50_ms": round(measured.percentile(0.5), 3),
        "p99_ms": round(measured.percentile(0.99), 3),
        "cpu_us": round(1e6 * cpu_s / len(measured.latencies), 1),
    }


def _row(case: Case, measured: dict[str, list[dict[str, float]]]) -> dict[str, Any]:
    middle = {
        load: {name: statistics.median(one[name] for one in rounds) for name in rounds[0]} for load, rounds in measured.items()
    }
    return {"case": case.name, "cold_start_s": round(case.cold_start_s, 1), "memory_mb": round(case.memory_mb())} | middle


def _show(row: dict[str, Any]) -> None:
    print(f"{row['case']}: cold start {row['cold_start_s']:.1f} s, memory {row['memory_mb']:.0f} MB")
    for name in LOADS:
        told = row[name]
        latency = f"p50 {told['p50_ms']:8.2f} ms  p99 {told['p99_ms']:8.2f} ms"
        print(f"  {name:<22} {told['per_s']:>9,.1f} /s  {latency}  {told['cpu_us']:>9,.0f} us CPU")


def _night(home: Path, server: Postgres) -> dict[str, str]:
    """Train on the flights of January 2013 by the stages of a night; returns the settings of the service."""
    from ml import samples
    from ml.database import migrate

    source = server.create_database("production")
    samples.load("flights", source)
    samples.advance("flights", source, datetime.fromisoformat(NIGHT))
    state = server.create_database("state")
    migrate(state)
    (home / "clock").write_text(NIGHT)
    settings = {"STORE": home / "store", "CACHE": home / "cache", "DATABASE_URL": state, "SOURCE_URL": source}
    environment = {f"EVERGREEN_{name}": str(value) for name, value in settings.items()}
    for stage in ("ingest", "validate", "prepare", "train"):
        command = [sys.executable, "-m", "ml", "run", stage, "--problem", "flights", "--run", "bench"]
        outer = {name: value for name, value in os.environ.items() if not name.startswith("EVERGREEN_")}
        clock = {"EVERGREEN_CLOCK_FILE": str(home / "clock"), "PYTHONPATH": str(PROJECT), "PYTHONWARNINGS": "ignore"}
        subprocess.run(command, check=True, env=outer | environment | clock, stdout=subprocess.DEVNULL)
    return environment


@contextmanager
def _postgres(home: Path) -> Iterator[Postgres]:
    """On the client's core, with the connections that come later."""
    server = Postgres(home, free_port(0), dict.fromkeys(("postgres", OWNER, READER), "bench"))
    server.start()
    try:
        assert server.program.pid
        parent = psutil.Process(server.program.pid)
        for process in (parent, *parent.children(recursive=True)):
            process.cpu_affinity([CORES[-1]])
        yield server
    finally:
        server.stop()


def _machine() -> dict[str, Any]:
    return {"cpus": os.cpu_count(), "python": platform.python_version(), "system": platform.platform()}


if __name__ == "__main__":
    main()
