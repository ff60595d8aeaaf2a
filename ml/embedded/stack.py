"""Starting and stopping all parts of the embedded stack together."""

import fcntl
import json
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx

from ml.database import migrate
from ml.embedded import environment, secrets
from ml.embedded.environment import Addresses, Ports
from ml.embedded.postgres import OWNER, READER, Postgres
from ml.embedded.processes import Program, free_port
from ml.embedded.secrets import Secrets
from ml.errors import TransientError
from ml.settings import PROJECT, Settings
from ml.settings import read as read_settings

PREFERRED = Ports(airflow=8080, mlflow=5000, serving=8000, postgres=5433)
AIRFLOW_PARTS = {
    "airflow-api": ("api-server",),
    "airflow-scheduler": ("scheduler", "--skip-serve-logs"),
    "airflow-dag-processor": ("dag-processor",),
    "airflow-triggerer": ("triggerer", "--skip-serve-logs"),
}
PROGRAMS = (*AIRFLOW_PARTS, "serving", "mlflow", "airflow-migrate")
AIRFLOW_USER = "admin"
TASK_API = "/execution/health"  # asking builds the interface for tasks, which takes seconds: not at the cost of the first task


@dataclass(frozen=True)
class Stack:
    """Everything in one folder: databases, store, artifacts, logs, secrets, ports. Removing the folder removes it all.

    Args:
        home: that folder; it may be absent.
        problems: folder of the problem files.
        expectations: folder of the expectation suites.
        preferred: ports to take if they are free; 0 takes any.
    """

    home: Path
    problems: Path = PROJECT / "ml" / "problems"
    expectations: Path = PROJECT / "expectations"
    preferred: Ports = PREFERRED

    def __post_init__(self) -> None:
        object.__setattr__(self, "home", self.home.resolve())

    @property
    def running(self) -> bool:
        """Whether every part runs."""
        return all(self.program(name).pid for name in ("postgres", "mlflow", "serving", *AIRFLOW_PARTS))

    @property
    def airflow_url(self) -> str:
        """Airflow's pages and REST interface."""
        return f"http://127.0.0.1:{self.ports.airflow}"

    @property
    def mlflow_url(self) -> str:
        """MLflow's pages and REST interface."""
        return f"http://127.0.0.1:{self.ports.mlflow}"

    @property
    def serving_url(self) -> str:
        """The prediction service."""
        return f"http://127.0.0.1:{self.ports.serving}"

    @property
    def loader_url(self) -> str:
        """The production database for the owner of its tables; the pipeline itself only may read."""
        return self.postgres.url("production")

    @property
    def clock(self) -> Path:
        """The file that says at which moment the replay of history stands."""
        return self.home / "clock"

    @cached_property
    def secrets(self) -> Secrets:
        """Passwords and keys, made at the first look."""
        return secrets.read(self.home / "secrets.json")

    @property
    def ports(self) -> Ports:
        """The ports of the last start; before the first start the preferred ones."""
        return Ports(**self._remembered.get("ports", asdict(self.preferred)))

    @property
    def postgres(self) -> Postgres:
        """The database server."""
        passwords = {
            "postgres": self.secrets.postgres_password,
            OWNER: self.secrets.evergreen_password,
            READER: self.secrets.reader_password,
        }
        return Postgres(self.home, self.ports.postgres, passwords)

    @property
    def environment(self) -> dict[str, str]:
        """What Airflow, its tasks and the service are told; also right for a command of ours run by hand."""
        return (
            environment.common()
            | environment.evergreen(
                self.home, self.ports, self._addresses, self.secrets, problems=self.problems, expectations=self.expectations
            )
            | environment.airflow(self.home, self.ports, self._addresses, self.secrets)
        )

    @property
    def settings(self) -> Settings:
        """The settings that the parts run with."""
        return read_settings(self.environment)

    @property
    def _addresses(self) -> Addresses:
        url = self.postgres.url
        return Addresses(url("airflow"), url("mlflow"), url("evergreen"), url("production", user=READER))

    def program(self, name: str) -> Program:
        """One of its programs."""
        return Program(name, self.home)

    def start(self, tell: Callable[[str], None] = lambda _: None) -> None:
        """Start every part that does not run yet, and wait until all answer.

        Args:
            tell: is given a line about each part that is ready.

        Raises: whatever hindered a part, after everything is stopped again.
            ConfigError: this system cannot run it.
            TransientError: it ended or took too long; the end of its log is told.
        """
        self.home.mkdir(parents=True, exist_ok=True)
        with self._alone():
            self._choose_ports()
            try:
                self.postgres.start()
                tell(f"PostgreSQL answers on port {self.ports.postgres}")
                self._start_parts(tell)
            except BaseException:
                self.stop()
                raise

    def _start_parts(self, tell: Callable[[str], None]) -> None:
        parts = [self._start_airflow, self._start_mlflow, self._start_serving]
        with ThreadPoolExecutor(len(parts)) as pool:
            try:
                for started in as_completed([pool.submit(part, tell) for part in parts]):
                    started.result()
            except BaseException:
                self.stop()  # what the other threads wait for will not come; this lets them end
                raise

    def stop(self) -> None:
        """End every part, those first that use another; the folder stays."""
        if not self._remembered:
            return  # never started
        with ThreadPoolExecutor(len(PROGRAMS)) as pool:
            list(pool.map(self._stop_program, PROGRAMS))
        self.postgres.stop()

    def _stop_program(self, name: str) -> None:
        if name == "serving":  # answers what it was asked and writes its request log before it goes
            self.program(name).stop(group=False, grace_s=30)
        else:  # Airflow's scheduler may take minutes to end by itself; a task cut short is taken over at the next start
            self.program(name).stop(grace_s=3)

    def _start_airflow(self, tell: Callable[[str], None]) -> None:
        home = self.home / "airflow"
        home.mkdir(exist_ok=True)
        secrets.write_private(home / "passwords.json", json.dumps({AIRFLOW_USER: self.secrets.airflow_password}))
        if self._remembered.get("airflow_migrated") != version("apache-airflow"):
            self.program("airflow-migrate").run(_airflow("db", "migrate"), self.environment)
            self._remember(airflow_migrated=version("apache-airflow"))
        for name, arguments in AIRFLOW_PARTS.items():
            self.program(name).start(_airflow(*arguments), self.environment)
        self._wait_for("airflow-api", self.ports.airflow, TASK_API)
        tell(f"Airflow answers at {self.airflow_url}")
        self.program("airflow-scheduler").wait_until(self._airflow_healthy)
        tell("Airflow schedules")

    def _airflow_healthy(self) -> bool:
        for name in AIRFLOW_PARTS:
            self.program(name).demand()
        found = httpx.get(f"{self.airflow_url}/api/v2/monitor/health", timeout=30, trust_env=False).json()
        return all(found[part]["status"] == "healthy" for part in ("scheduler", "dag_processor", "triggerer"))

    def _start_mlflow(self, tell: Callable[[str], None]) -> None:
        own = environment.mlflow(self.home, self.ports, self._addresses)
        self.program("mlflow").start([sys.executable, "-m", "mlflow", "server"], environment.common() | own)
        self._wait_for("mlflow", self.ports.mlflow, "/health")
        tell(f"MLflow answers at {self.mlflow_url}")

    def _start_serving(self, tell: Callable[[str], None]) -> None:
        migrate(self._addresses.evergreen)
        self.program("serving").start([sys.executable, "-m", "ml.serving"], self.environment)
        self._wait_for("serving", self.ports.serving, "/health")
        tell(f"the prediction service answers at {self.serving_url}")

    def _wait_for(self, name: str, port: int, path: str) -> None:
        """Wait until a program answers, and not another that took its port in between."""
        program = self.program(name)
        program.wait_until(lambda: program.listens(port) and _answers(f"http://127.0.0.1:{port}{path}"))

    def _choose_ports(self) -> None:
        """Keep the ports of parts that run; the others get theirs of last time, or a free one when that is taken."""
        owner = {"airflow": "airflow-api", "mlflow": "mlflow", "serving": "serving", "postgres": "postgres"}
        ports = {name: port if self.program(owner[name]).pid else free_port(port) for name, port in asdict(self.ports).items()}
        self._remember(ports=ports)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Two starts at the same time would start everything twice."""
        with (self.home / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise TransientError(f"Another command is starting the stack in {self.home}. Wait for it to end.") from error
            yield

    @property
    def _remembered(self) -> dict[str, Any]:
        path = self.home / "stack.json"
        content: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
        return content

    def _remember(self, **facts: object) -> None:
        (self.home / "stack.json").write_text(json.dumps(self._remembered | facts, indent=2) + "\n")


def _airflow(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "airflow", *arguments]


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=30, trust_env=False).is_success
    except httpx.TransportError:
        return False
