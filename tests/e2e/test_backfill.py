"""Days brought in by Airflow's own backfill, side by side, hold the same rows as all of them read in one pass."""

import itertools
import subprocess
import sys
from datetime import date, timedelta
from typing import Any, NamedTuple

import pytest

from ml import ingest, validate
from ml.context import Context
from ml.embedded.stack import Stack
from ml.tables import DAY
from ml.window import Window
from tests.e2e import driving

FIRST = date(2013, 1, 1)
COMMITTED_TOGETHER = 4


class Filled(NamedTuple):
    """A problem whose days came by backfills, and the runs that brought them."""

    name: str
    window: Window
    runs: dict[str, Any]


@pytest.fixture(
    scope="module",
    params=[pytest.param(31, marks=pytest.mark.slow, id="a month"), pytest.param(6, marks=pytest.mark.slow, id="six days")],
)
def filled(stack: Stack, request: pytest.FixtureRequest) -> Filled:
    """Most days by REST and the last two by the command line, as an administrator would."""
    name, window = f"backfilled_{request.param}", Window(FIRST, FIRST + timedelta(days=request.param))
    turn = window.end - timedelta(days=2)
    driving.set_clock(stack, "2013-02-02T03:00:00-05:00")
    driving.add_problem(stack, name)
    one = driving.airflow(stack)
    one.wait_for_dag(f"retrain_{name}")
    asked = {"from_date": f"{FIRST}T00:00:00Z", "to_date": f"{turn}T00:00:00Z", "max_active_runs": COMMITTED_TOGETHER}
    one._post("/backfills", {"dag_id": f"retrain_{name}", "dag_run_conf": {}, "reprocess_behavior": "none"} | asked)
    runs = _until_over(stack, name, window.days - 2)
    command = [sys.executable, "-m", "airflow", "backfill", "create", "--dag-id", f"retrain_{name}", "--from-date"]
    more = [*command, str(turn), "--to-date", str(window.end), "--max-active-runs", "2"]
    done = subprocess.run(more, env=stack.environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return Filled(name, window, runs | _until_over(stack, name, window.days))


def _until_over(stack: Stack, name: str, count: int) -> dict[str, Any]:
    one = driving.airflow(stack)

    def over() -> Any:
        runs = one._get(f"/dags/retrain_{name}/dagRuns", limit=100)["dag_runs"]
        ended = {run["dag_run_id"]: run for run in runs if run["state"] in ("success", "failed")}
        backfills = one._get("/backfills", dag_id=f"retrain_{name}")["backfills"]
        return ended if len(ended) >= count and all(backfill["completed_at"] for backfill in backfills) else None

    found: dict[str, Any] = driving.wait_for(over, f"{count} runs of the backfill", timeout_s=280)
    return found


def test_every_day_has_a_run_that_ended_well(filled):
    assert {run["state"] for run in filled.runs.values()} == {"success"}
    assert len(filled.runs) == filled.window.days and {run["run_type"] for run in filled.runs.values()} == {"backfill"}


def test_days_were_read_side_by_side(filled):
    spans = sorted((run["start_date"], run["end_date"]) for run in filled.runs.values())
    assert any(later[0] < earlier[1] for earlier, later in itertools.pairwise(spans))


def test_a_backfill_trains_and_promotes_nothing(stack, filled):
    tasks = driving.airflow(stack).tasks(f"retrain_{filled.name}", next(iter(filled.runs)))
    states = {task["task_id"]: task["state"] for task in tasks}
    assert (states["ingest"], states["validate"], states["decide"]) == ("success", "success", "skipped")
    assert {states[task] for task in ("prepare", "train", "evaluate", "rehearse", "gate", "register", "announce")} == {"skipped"}


@pytest.mark.parametrize("table", ["raw", "valid", "quarantine"])
def test_the_tables_hold_what_one_pass_over_the_days_brings(stack, filled, table):
    by_days = driving.context(stack, filled.name, "compare").table(table).read(filled.window)
    at_once = _one_pass(stack, filled.window).table(table).read(filled.window)
    names = [name for name in at_once.column_names if name != "_run_key"]
    order = [(DAY, "ascending"), ("flight_id", "ascending")]
    assert by_days.num_rows == at_once.num_rows and (table == "quarantine" or at_once.num_rows > 750 * filled.window.days)
    assert by_days.select(names).sort_by(order).to_pylist() == at_once.select(names).sort_by(order).to_pylist()


def _one_pass(stack: Stack, window: Window) -> Context:
    driving.add_problem(stack, "one_pass")
    context = driving.context(stack, "one_pass", "all")
    context = Context(context.problem, context.settings, f"all-{window.days}", window=str(window))
    ingest.run(context)
    validate.run(context)
    return context
