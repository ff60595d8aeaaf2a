"""SIGKILL in the middle of every stage, then clear: the end is that of an undisturbed run."""

import random
import time

import psutil  # type: ignore[import-untyped]
import pytest

from ml.context import Context
from ml.embedded.stack import Stack
from ml.ledger import Ledger
from ml.records import Evaluated, Monitored, Prepared, Trained, Validated, Verdict
from ml.registry import Registry
from ml.window import Window
from tests.e2e import driving

pytestmark = pytest.mark.timeout(3000)
NIGHT, EVENING = "2013-02-01T03:00:00-05:00", "2013-02-01T23:30:00-05:00"
WINDOW = Window.parse("2013-01-01/2013-02-01")
RETRAIN = ("ingest", "validate", "decide", "prepare", "train", "evaluate", "rehearse", "gate", "register", "announce")


def next_process(stack: Stack, dag_id: str, run_id: str, task_id: str):
    """The task's process, looked for closely: a task may live for a fifth of a second, and asking Airflow takes long."""
    one = driving.airflow(stack)
    task = next((task for task in one.tasks(dag_id, run_id) if task["task_id"] == task_id), None)
    if task is None or task["state"] in ("success", "skipped", "failed"):
        return "over" if task else None
    until = time.monotonic() + 1.0
    while time.monotonic() < until:
        if process := driving.task_process(stack, task["id"]):
            return process
        time.sleep(0.005)
    return None


def kill_once(stack: Stack, dag_id: str, run_id: str, task_id: str, *, after_s: float) -> bool:
    """Kill the task's process `after_s` into its life; False when the task was faster."""
    one = driving.airflow(stack)
    process = driving.wait_for(lambda: next_process(stack, dag_id, run_id, task_id), f"{task_id} of {dag_id} to run", 90)
    if process == "over":
        return False
    time.sleep(after_s)
    try:
        process.send_signal(psutil.signal.SIGKILL)
    except psutil.NoSuchProcess:
        return False
    driving.wait_for(
        lambda: driving.task_state(one, dag_id, run_id, task_id) in ("up_for_retry", "failed", "success", "skipped"),
        f"Airflow to see that {task_id} ended",
    )
    return driving.task_state(one, dag_id, run_id, task_id) in ("up_for_retry", "failed")


def on_its_way(stack: Stack, dag_id: str, run_id: str, task_id: str) -> bool:
    """Whether a cleared task goes on; where a scheduler that was ending the run has overwritten that, it is cleared again."""
    one = driving.airflow(stack)
    if driving.task_state(one, dag_id, run_id, task_id) is not None:
        return True
    run = one.run(dag_id, run_id)
    if run and run["state"] in ("success", "failed"):
        one.clear(dag_id, run_id, [task_id], downstream=True)
    return False


def kill_and_clear(stack: Stack, dag_id: str, run_id: str, task_id: str, longest_s: float) -> bool:
    """Kill a task at a random moment of its life and clear it in Airflow, trying earlier moments when it was too fast."""
    one, killed = driving.airflow(stack), False
    for attempt in range(10):
        latest_s = 0.8 * longest_s if attempt == 0 else 0.1
        killed = kill_once(stack, dag_id, run_id, task_id, after_s=random.uniform(0, latest_s))
        one.clear(dag_id, run_id, [task_id], downstream=True)
        driving.wait_for(lambda: on_its_way(stack, dag_id, run_id, task_id), f"{task_id} of {dag_id} to be scheduled again")
        if killed:
            return True
    return killed


@pytest.fixture(scope="module")
def both(stack):
    """The same night twice, as problem `calm` undisturbed and as problem `killed` with a kill in every task."""
    one = driving.airflow(stack)
    for name in ("calm", "killed"):
        driving.add_problem(stack, name)
    driving.set_clock(stack, NIGHT)
    durations, kills = {}, {}
    for name in ("calm", "killed"):
        one.wait_for_dag(f"retrain_{name}")
        one.trigger(f"retrain_{name}", "night")
        if name == "killed":
            for task_id in RETRAIN:
                kills[f"retrain {task_id}"] = kill_and_clear(stack, "retrain_killed", "night", task_id, durations[task_id])
        assert driving.finished(one, f"retrain_{name}", "night")[""] == "success"
        durations |= {task["task_id"]: task["duration"] for task in one.tasks(f"retrain_{name}", "night")}
        for kind, source, run in (("promote", "retrain", "night"), ("deploy", "promote", "")):
            run_id = driving.wait_for(
                lambda k=kind, s=source, r=run: one.started_by(f"{k}_{name}", f"{s}_{name}", r or durations["promote_run"]),  # noqa: B023
                f"{kind}_{name}",
            )
            if name == "killed":
                kills[kind] = kill_and_clear(stack, f"{kind}_{name}", run_id, kind, durations[kind])
            assert driving.finished(one, f"{kind}_{name}", run_id)[""] == "success"
            durations |= {task["task_id"]: task["duration"] for task in one.tasks(f"{kind}_{name}", run_id)}
            durations |= {f"{kind}_run": run_id}
    driving.set_clock(stack, EVENING)
    for name in ("calm", "killed"):
        one.trigger(f"monitor_{name}", "evening")
        if name == "killed":
            for task_id in ("monitor", "report"):
                kills[task_id] = kill_and_clear(stack, "monitor_killed", "evening", task_id, durations[task_id])
        assert driving.finished(one, f"monitor_{name}", "evening")[""] == "success"
        durations |= {task["task_id"]: task["duration"] for task in one.tasks(f"monitor_{name}", "evening")}
    return {"kills": kills, "calm": driving.context(stack, "calm", "night"), "killed": driving.context(stack, "killed", "night")}


def test_nearly_every_task_was_really_killed(both):
    """Tasks of a fifth of a second may win the race ten times; the long ones never."""
    print(both["kills"])
    missed = [name for name, hit in both["kills"].items() if not hit]
    assert set(missed) <= {"retrain gate", "retrain announce", "promote"}, missed


@pytest.mark.parametrize("name", ["raw", "valid", "quarantine"])
def test_tables_hold_the_same_rows(both, name):
    def rows(context: Context):
        table = context.table(name).read(WINDOW)
        kept = [column for column in table.column_names if column != "_run_key"]
        return table.select(kept).sort_by("flight_id")

    assert rows(both["killed"]).equals(rows(both["calm"]))


def test_records_agree(both):
    calm, killed = both["calm"], both["killed"]
    for kind, fields in {
        Validated: {"num_ingested", "num_valid", "num_quarantined"},
        Prepared: {"rows_digest", "train", "validation", "test"},
        Trained: {"validation_loss", "epochs", "num_parameters"},
        Evaluated: {"candidate", "gains_over", "confusion"},
        Verdict: {"decision", "rules"},
    }.items():
        assert killed.record(kind).model_dump(include=fields) == calm.record(kind).model_dump(include=fields), kind


def test_one_version_one_promotion_one_champion_one_answer(both, stack):
    registry, ledger = Registry(stack.mlflow_url), Ledger(stack.settings.database_url)
    for name in ("calm", "killed"):
        moves = [entry.kind for entry in ledger.entries(name)]
        assert (moves.count("verdict"), moves.count("promote"), moves.count("deployed")) == (1, 1, 1), moves
        assert registry.version(name, 1) is not None
        assert registry.version(name, 2) is None
        champion = ledger.champion(name)
        assert champion is not None and registry.alias(name, "champion") == champion.version == 1
        assert not ledger.due(name, "promote")
        assert not ledger.due(name, "deploy")
    assert ledger.verify() == []


def test_monitoring_ends_alike(both, stack):
    pages = [driving.context(stack, name, "evening") for name in ("calm", "killed")]
    assert pages[0].record(Monitored).verdicts == pages[1].record(Monitored).verdicts
    assert all(page.file("monitor.html").stat().st_size > 1000 for page in pages)
