"""Airflow's REST interface, as far as playing a night needs it."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

import httpx

from ml.errors import TransientError

T = TypeVar("T")
FINISHED = ("success", "failed", "skipped", "upstream_failed", "removed")
POLL_S = 0.5


@dataclass(frozen=True)
class Airflow:
    """A running Airflow, asked as its administrator."""

    url: str
    user: str
    password: str = field(repr=False)

    def trigger(self, dag_id: str, run_id: str, *, conf: dict[str, Any] | None = None) -> None:
        """Start a run by hand; one of that name that exists already goes on, its failed tasks are tried anew.

        Args:
            conf: fields of the DAG's form; those left out keep their defaults.
        """
        run = self.run(dag_id, run_id)
        if run is None:
            # logical_date must be named, and null: the run stands for no moment of the wall clock
            self._post(f"/dags/{dag_id}/dagRuns", {"dag_run_id": run_id, "logical_date": None, "conf": conf or {}})
        else:
            self.go_on(dag_id, run_id)

    def go_on(self, dag_id: str, run_id: str) -> None:
        """Let the failed tasks of a run be tried anew; any other run is left alone."""
        if (self.run(dag_id, run_id) or {}).get("state") == "failed":
            self._clear(dag_id, run_id, only_failed=True)

    def clear(self, dag_id: str, run_id: str, task_ids: list[str], *, downstream: bool) -> None:
        """Let tasks of a run be done again, with those that follow from them if asked."""
        self._clear(dag_id, run_id, only_failed=False, task_ids=task_ids, include_downstream=downstream)

    def _clear(self, dag_id: str, run_id: str, **which: Any) -> None:
        about = {"dag_run_id": run_id, "dry_run": False, "reset_dag_runs": True}
        self._post(f"/dags/{dag_id}/clearTaskInstances", about | which)

    def run(self, dag_id: str, run_id: str) -> dict[str, Any] | None:
        """A run with its `state`, None when there is none of that name."""
        found: dict[str, Any] | None = self._get(f"/dags/{dag_id}/dagRuns/{run_id}", absent=True)
        return found

    def tasks(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """The task instances of a run, in the order in which they started."""
        found: list[dict[str, Any]] = self._get(f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances")["task_instances"]
        return sorted(found, key=lambda task: (task["start_date"] is None, task["start_date"] or ""))

    def started_by(self, dag_id: str, source_dag_id: str, source_run_id: str) -> str | None:
        """The run of `dag_id` that an asset event of another run started, None as long as there is none."""
        recent = self._get(f"/dags/{dag_id}/dagRuns", order_by="-run_after", limit=20)["dag_runs"]
        for run_id in (run["dag_run_id"] for run in recent if run["run_type"] == "asset_triggered"):
            events = self._get(f"/dags/{dag_id}/dagRuns/{run_id}/upstreamAssetEvents")["asset_events"]
            if any((event["source_dag_id"], event["source_run_id"]) == (source_dag_id, source_run_id) for event in events):
                return str(run_id)
        return None

    def failure(self, dag_id: str, run_id: str, tasks: list[dict[str, Any]]) -> str:
        """Which task failed, with what error, and where its log is."""
        failed = next((task for task in tasks if task["state"] == "failed"), None)
        if failed is None:
            return f"{dag_id} {run_id} failed without a failed task; look at {self.url}/dags/{dag_id}/runs/{run_id}"
        page = f"{self.url}/dags/{dag_id}/runs/{run_id}/tasks/{failed['task_id']}"
        error = self.error(dag_id, run_id, failed)
        return f"{dag_id} {run_id} failed at the task {failed['task_id']}. Its log ({page}) says:\n{error}"

    def error(self, dag_id: str, run_id: str, task: dict[str, Any]) -> str:
        """What the log of a task's latest try says went wrong."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task['task_id']}/logs/{max(task['try_number'], 1)}"
        lines = [line for line in self._get(path)["content"] if isinstance(line, dict)]
        errors = [error for line in lines for error in line.get("error_detail") or []]
        told = [f"{error['exc_type']}: {error['exc_value']}" for error in errors if not error.get("is_cause")]
        return "\n".join(told or [str(line.get("event")) for line in lines[-10:]])

    def wait_for_dag(self, dag_id: str, *, timeout_s: float = 120) -> None:
        """Wait until the DAG's file has been read.

        Raises: TransientError: it was not; the import errors are told.
        """
        wait(lambda: self._get(f"/dags/{dag_id}", absent=True), timeout_s=timeout_s, otherwise=lambda: self._no_dag(dag_id))

    def _no_dag(self, dag_id: str) -> str:
        errors = self._get("/importErrors")["import_errors"]
        told = "\n".join(f"{error['filename']}: {error['stack_trace']}" for error in errors)
        return f"Airflow has no DAG {dag_id}. " + (told or "No file in dags/ failed; is there a problem file of that name?")

    @cached_property
    def _client(self) -> httpx.Client:
        # no connection is kept, so nothing has to be closed
        limits = httpx.Limits(max_keepalive_connections=0)
        client = httpx.Client(base_url=f"{self.url}/api/v2", timeout=60, trust_env=False, limits=limits)
        with _reaching(self.url):
            login = client.post(f"{self.url}/auth/token", json={"username": self.user, "password": self.password})
        client.headers["Authorization"] = f"Bearer {_judged(login)['access_token']}"
        return client

    def _get(self, path: str, *, absent: bool = False, **query: Any) -> Any:
        with _reaching(self.url):
            response = self._client.get(path, params=query)
        return None if absent and response.status_code == 404 else _judged(response)

    def _post(self, path: str, content: dict[str, Any]) -> Any:
        with _reaching(self.url):
            return _judged(self._client.post(path, json=content))


@contextmanager
def _reaching(url: str) -> Iterator[None]:
    try:
        yield
    except httpx.TransportError as error:
        raise TransientError(f"Airflow at {url} does not answer: {error or type(error).__name__}.") from error


def wait(check: Callable[[], T | None], *, timeout_s: float, otherwise: Callable[[], str]) -> T:
    """Ask again and again until `check` gives something.

    Raises: TransientError: the time is over, with the words of `otherwise`.
    """
    deadline = time.monotonic() + timeout_s
    while not (found := check()):
        if time.monotonic() > deadline:
            raise TransientError(otherwise())
        time.sleep(POLL_S)
    return found


def _judged(response: httpx.Response) -> Any:
    if response.is_success:
        return response.json()
    raise TransientError(
        f"Airflow answered {response.status_code} to {response.request.method} {response.request.url}: {response.text[:300]}"
    )
