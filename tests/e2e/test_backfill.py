"""A month brought in by Airflow's own backfill, days side by side, holds the same rows as the month read in one pass."""

import itertools
import subprocess
import sys
from datetime import date
from typing import Any

import pytest

from ml import ingest, validate
from ml.context import Context
from ml.embedded.stack import Stack
from ml.tables import DAY
from ml.window import Window
from tests.e2e import driving

MONTH = Window(date(2013, 1, 1), date(2013, 2, 1))
COMMITTED_TOGETHER = 4


@pytest.fixture(scope="module")
def filled(stack: Stack) -> Any:
    """A month by REST and three days by the command line, as an administrator would; the runs that came of it."""
    driving.set_clock(stack, "2013-02-02T03:00:00-05:00")
    driving.add_problem(stack, "backfilled")
    one = driving.airflow(stack)
    one.wait_for_dag("retrain_backfilled")
    asked = {"from_date": "2013-01-01T00:00:00Z", "to_date": "2013-01-29T00:00:00Z", "max_active_runs": COMMITTED_TOGETHER}
    one._post("/backfills", {"dag_id": "retrain_backfilled", "dag_run_conf": {}, "reprocess_behavior": "none"} | asked)
    runs = _until_over(stack, 28)
    command = [sys.executable, "-m", "airflow", "backfill", "create", "--dag-id", "retrain_backfilled", "--from-date"]
    more = [*command, "2013-01-29", "--to-date", "2013-02-01", "--max-active-runs", "2"]
    done = subprocess.run(more, env=stack.environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return runs | _until_over(stack, 31)


def _until_over(stack: Stack, count: int) -> dict[str, Any]:
    one = driving.airflow(stack)

    def over() -> Any:
        runs = one._get("/dags/retrain_backfilled/dagRuns", limit=100)["dag_runs"]
        ended = {run["dag_run_id"]: run for run in runs if run["state"] in ("success", "failed")}
        backfills = one._get("/backfills", dag_id="retrain_backfilled")["backfills"]
        return ended if len(ended) >= count and all(backfill["completed_at"] for backfill in backfills) else None

    found: dict[str, Any] = driving.wait_for(over, f"{count} runs of the backfill", timeout_s=280)
    return found


def test_every_day_of_the_month_has_a_run_that_ended_well(filled):
    assert {run["state"] for run in filled.values()} == {"success"}
    assert len(filled) == MONTH.days and {run["run_type"] for run in filled.values()} == {"backfill"}


def test_days_were_read_side_by_side(filled):
    spans = sorted((run["start_date"], run["end_date"]) for run in filled.values())
    assert any(later[0] < earlier[1] for earlier, later in itertools.pairwise(spans))


def test_a_backfill_trains_and_promotes_nothing(stack, filled):
    states = {task["task_id"]: task["state"] for task in driving.airflow(stack).tasks("retrain_backfilled", next(iter(filled)))}
    assert (states["ingest"], states["validate"], states["prepare"]) == ("success", "success", "skipped")
    assert {states[task] for task in ("train", "evaluate", "gate", "register", "announce")} == {"skipped"}


@pytest.mark.parametrize("table", ["raw", "valid", "quarantine"])
def test_the_tables_hold_what_one_pass_over_the_month_brings(stack, filled, table):
    whole = _one_pass(stack)
    by_days = driving.context(stack, "backfilled", "compare").table(table).read(MONTH)
    at_once = whole.table(table).read(MONTH)
    names = [name for name in at_once.column_names if name != "_run_key"]
    order = [(DAY, "ascending"), ("flight_id", "ascending")]
    assert by_days.num_rows == at_once.num_rows and (table == "quarantine" or at_once.num_rows > 26_000)
    assert by_days.select(names).sort_by(order).to_pylist() == at_once.select(names).sort_by(order).to_pylist()


def _one_pass(stack: Stack) -> Context:
    driving.add_problem(stack, "one_pass")
    context = driving.context(stack, "one_pass", "month")
    context = Context(context.problem, context.settings, "month", window=str(MONTH))
    ingest.run(context)
    validate.run(context)
    return context
