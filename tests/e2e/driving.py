"""Driving a stack in tests: other problems on the same production table, the clock, runs with parameters, kills."""

import re
import shutil
import time
from collections.abc import Callable
from datetime import datetime
from functools import cache
from typing import Any

import psutil  # type: ignore[import-untyped]

from ml import problem as problems
from ml import samples
from ml.context import Context
from ml.embedded.airflow import Airflow
from ml.embedded.stack import AIRFLOW_USER, Stack

PATIENCE_S = 900.0  # a busy machine is no finding
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync")  # fmt: skip
TITLE = re.compile(r"airflow worker -- (?:LocalExecutor: )?([0-9a-f-]{36})")


@cache
def airflow(stack: Stack) -> Airflow:
    return Airflow(stack.airflow_url, AIRFLOW_USER, stack.secrets.airflow_password)


def add_problem(stack: Stack, name: str, edit: Callable[[str], str] = lambda text: text) -> problems.Problem:
    """A second problem on the table of flights: its own DAGs, store, model and suite."""
    text = (stack.problems / "flights.toml").read_text().replace('name = "flights"', f'name = "{name}"', 1)
    (stack.problems / f"{name}.toml").write_text(edit(text))
    (stack.problems / f"{name}.raw.json").write_text((stack.expectations / "flights.raw.json").read_text())
    return problems.load(name, stack.problems)


def context(stack: Stack, name: str, run_key: str) -> Context:
    return Context(problems.load(name, stack.problems), stack.settings, run_key)


def set_clock(stack: Stack, moment: str, *, sample: str = "flights") -> None:
    """All parts stand at `moment`, and production knows what was known then."""
    stack.clock.write_text(moment)
    samples.advance(sample, stack.loader_url, datetime.fromisoformat(moment))


def wait_for(check: Callable[[], Any], what: str, timeout_s: float = PATIENCE_S) -> Any:
    """The first true value of `check`."""
    deadline = time.monotonic() + timeout_s
    while not (found := check()):
        assert time.monotonic() < deadline, f"waited {timeout_s} s for {what}"
        time.sleep(0.03)
    return found


def finished(one: Airflow, dag_id: str, run_id: str, *, timeout_s: float = PATIENCE_S) -> dict[str, str]:
    """Wait until a run ends; states by task, and the run's own under ''."""

    def end() -> dict[str, str] | None:
        run = one.run(dag_id, run_id)
        if run is None or run["state"] not in ("success", "failed"):
            return None
        return {"": run["state"]} | {task["task_id"]: task["state"] for task in one.tasks(dag_id, run_id)}

    states: dict[str, str] = wait_for(end, f"{dag_id} {run_id} to end", timeout_s)
    return states


def set_off(one: Airflow, dag_id: str, by_dag: str, by_run: str) -> dict[str, str]:
    """Follow the run of `dag_id` that an asset event of another run started; its states."""
    run_id = wait_for(lambda: one.started_by(dag_id, by_dag, by_run), f"{dag_id} to be started by {by_run}")
    return finished(one, dag_id, run_id) | {"run_id": run_id}


def task_state(one: Airflow, dag_id: str, run_id: str, task_id: str) -> str | None:
    return next((task["state"] for task in one.tasks(dag_id, run_id) if task["task_id"] == task_id), None)


def task_process(stack: Stack, instance_id: str) -> psutil.Process | None:
    """The process that runs a task instance: a child of the executor's worker of that title."""
    scheduler = stack.program("airflow-scheduler").pid
    if scheduler is None:
        return None
    try:
        for worker in psutil.Process(scheduler).children():
            for child in worker.children():
                found = TITLE.search(" ".join(child.cmdline()))
                if found and found.group(1) == instance_id:
                    return child
    except psutil.NoSuchProcess:
        return None
    return None
