"""The search on real flights: killed and resumed, seen in MLflow, used by the next training, forgotten when the file changes."""

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest

from ml import ingest, prepare, train, tune, tuned, validate
from ml.context import Context, open_run
from ml.records import Prepared, Tuned
from ml.settings import PROJECT
from ml.tune.stage import PLOT, TRIALS

TEXT = (PROJECT / "ml" / "problems" / "flights.toml").read_text()
SLOW_LEARNER = "layers = [8]\nepochs = 2\nembedding = 2\nlearning_rate = 1e-5\n"  # nearly anything is better
VARY = "[tune.vary]\nlearning_rate = { low = 0.003, high = 0.03, log = true }\ndropout = { choices = [0.0, 0.3] }\n"
SEARCH = f"[tune]\ntrials = 4\n{VARY}"
SPLIT = 'protocol = "rolling"\nfolds = 2\nvalidation_days = 2\ntrain_days = 16\ntest_days = 3\ngap_days = 1\n'


def problem_file(folder: Path, *, search: str = SEARCH) -> str:
    """Flights with a small network and little history."""
    head, _, rest = TEXT.partition("[split]")
    tail = rest[rest.index("[success]") :]
    path = folder / "flights.toml"
    path.write_text(f"{head}[split]\n{SPLIT}\n[training]\n{SLOW_LEARNER}\n{search}\n{tail}")
    return str(path)


@pytest.fixture
def night(home: Path, mlflow_file: str, monkeypatch: pytest.MonkeyPatch) -> Context:
    """A run whose rows are frozen."""
    monkeypatch.setenv("EVERGREEN_MLFLOW_URL", mlflow_file)
    context = open_run(problem_file(home), "night", window="2013-01-12/2013-02-01")
    for stage in (ingest, validate, prepare):
        stage.run(context)
    assert context.record(Prepared).num_folds == 2
    return context


def trials(context: Context) -> list[dict]:
    return context.store.read_json(context.name(TRIALS))["trials"] if context.store.exists(context.name(TRIALS)) else []


@pytest.mark.slow
def test_a_killed_search_is_resumed_and_its_choice_is_used_until_the_file_changes(night, home):
    command = [sys.executable, "-m", "ml", "tune", "--problem", str(home / "flights.toml"), "--run", "night"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with (home / "log").open("wb") as log:
        searching = subprocess.Popen(command, stdout=log, stderr=log, env=environment, cwd=PROJECT)
        end = time.monotonic() + 200
        while len(trials(night)) < 2:
            assert searching.poll() is None and time.monotonic() < end, (home / "log").read_text()
            time.sleep(0.05)
        workers = psutil.Process(searching.pid).children(recursive=True)
        searching.kill()
        searching.wait()
        assert not psutil.wait_procs(workers, timeout=30)[1]  # nothing trains on
    before = trials(night)
    assert not night.has(Tuned)

    found = tune.run(night)

    after = trials(night)
    assert after[: len(before)] == before  # seconds too: they were not tried again
    assert len(after) == found.trials == 4
    assert found.failed == 0
    assert after[0]["kind"] == "present" and after[0]["values"] == {}
    assert found.used and found.best > 0
    assert found.noise is not None
    assert found.gain > found.noise > 0
    assert tune.run(night) == found

    trained = train.run(night)
    assert trained.training["learning_rate"] == found.values["learning_rate"] > 0.002
    assert trained.training["layers"] == [8]
    assert trained.protocol is not None
    assert trained.protocol.value == pytest.approx(found.value, abs=1e-9)  # the same folds, settings and seed
    assert len(trained.protocol.scores) == 2

    changed = night.problem.training.model_copy(update={"epochs": 1})
    other = replace(night, problem=night.problem.model_copy(update={"training": changed}))
    assert tuned.training(other) == changed

    shown = night.registry._client.search_runs([night.registry._client.get_experiment_by_name("flights").experiment_id])
    parent = next(run for run in shown if run.data.tags.get("run_key") == "night")
    nested = [run for run in shown if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
    assert sorted(run.data.tags["trial"] for run in nested) == ["0", "1", "2", "3"]
    best = next(run for run in nested if run.data.tags["trial"] == str(found.best))
    assert best.data.metrics["validation/auc"] == pytest.approx(found.value)
    assert float(best.data.params["learning_rate"]) == found.values["learning_rate"]


@pytest.mark.slow
def test_the_ladder_is_climbed_on_real_flights_and_drawn(night, home):
    search = SEARCH.replace("[tune]", "[tune]\nladder = true\nbudget_minutes = 1.0")
    context = open_run(problem_file(home, search=search), "night")
    found = tune.run(context)
    kinds = [trial["kind"] for trial in trials(context)]
    assert kinds[:3] == ["present", "ladder", "ladder"]
    assert context.file(PLOT).read_bytes().startswith(b"\x89PNG")
    assert found.seconds < 60 + 30  # the budget, and the trial it ran out in
