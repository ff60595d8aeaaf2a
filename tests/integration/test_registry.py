"""Runs and versions on a real MLflow server: once per run key, loadable by anybody, honest when the server is away."""

import json
import shutil
import subprocess
import sys
import time
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from ml.embedded.processes import free_port
from ml.errors import DataError, TransientError
from ml.problem import Feature
from ml.registry import Candidate, Data, Registry, Run, package
from ml.scoring import Scorer
from ml.store import digest
from tests.integration.state_kit import NOW, NUMBERS, ROWS, Fuse, Killed, make_model, make_problem

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:mlflow")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "model"
    make_model(folder, "night-1")
    return folder


@pytest.fixture
def problem():
    return make_problem(f"registered_{next(NUMBERS)}")


@pytest.fixture
def registry(mlflow_url):
    return Registry(mlflow_url)


def make_run(model, **changes):
    values: dict[str, Any] = {
        "run_key": "night-1", "card": "# Card", "at": NOW, "seconds": 12.5,
        "data": Data("flights.valid@4", "ab" * 32, "/store/flights/valid"),
        "params": {f"training.{number}": number for number in range(150)}, "metrics": {"candidate/auc": 0.74},
        "history": {"epoch/loss": [0.6, 0.5, 0.4]}, "tags": {"verdict": "promote"},
        "files": [model / "model.json", model / "saved_model"],
    }  # fmt: skip
    return Run(**values | changes)


def make_candidate(model, **changes):
    return Candidate(**{"run_key": "night-1", "model": model, "model_digest": digest(model), "card": "# Card"} | changes)


def log_and_register(registry, problem, model):
    run_id = registry.log_run(problem.name, make_run(model))
    return run_id, registry.create_version(problem, run_id, make_candidate(model))


def kill_after(monkeypatch, calls):
    """End the process, as it were, after so many of MLflow's calls."""
    from mlflow import MlflowClient

    fuse = Fuse(calls)
    for name in (
        "create_experiment", "create_run", "log_batch", "log_inputs", "log_outputs", "log_artifact", "log_artifacts",
        "set_terminated", "create_registered_model", "update_registered_model", "set_registered_model_tag", "create_logged_model",
        "log_model_artifacts", "finalize_logged_model", "create_model_version", "set_registered_model_alias",
    ):  # fmt: skip
        monkeypatch.setattr(MlflowClient, name, fuse.after(getattr(MlflowClient, name)))


def test_killed_after_any_step_it_ends_with_one_run_and_one_version(registry, model, monkeypatch):
    """Every step in turn is the last one of a first process; a second one does it all again."""
    kills = 0
    while True:
        problem = make_problem(f"killed_{next(NUMBERS)}")
        with monkeypatch.context() as patch:
            kill_after(patch, kills + 1)
            try:
                log_and_register(registry, problem, model)
                break
            except Killed:
                kills += 1
        run_id, version = log_and_register(registry, problem, model)
        client = registry._client
        experiment = client.get_experiment_by_name(problem.name)
        assert [run.info.run_id for run in client.search_runs([experiment.experiment_id])] == [run_id]
        assert [int(found.version) for found in client.search_model_versions(f"name = '{problem.name}'")] == [version]
        assert len(client.search_logged_models([experiment.experiment_id])) == 1
        assert registry.alias(problem.name, "candidate") == version
        assert [metric.value for metric in client.get_metric_history(run_id, "epoch/loss")] == [0.6, 0.5, 0.4]
        assert len(client.get_metric_history(run_id, "candidate/auc")) == 1
        assert len(client.get_run(run_id).outputs.model_outputs) == 1
    assert kills > 15


def test_a_run_shows_params_metrics_data_and_files(registry, problem, model):
    run_id = registry.log_run(problem.name, make_run(model))
    assert registry.log_run(problem.name, make_run(model)) == run_id
    client = registry._client
    run = client.get_run(run_id)
    assert run.info.status == "FINISHED"
    assert (run.info.start_time, run.info.end_time) == (int(NOW.timestamp() * 1000), int(NOW.timestamp() * 1000) + 12_500)
    assert run.data.params == {f"training.{number}": str(number) for number in range(150)}
    assert run.data.metrics == {"candidate/auc": 0.74, "epoch/loss": 0.4}
    assert run.data.tags["verdict"] == "promote"
    assert run.data.tags["mlflow.note.content"] == "# Card"
    assert run.inputs.dataset_inputs[0].dataset.digest == ("ab" * 32)[:36]
    assert {artifact.path for artifact in client.list_artifacts(run_id)} == {"model.json", "saved_model"}
    assert registry.run_url(problem.name, run_id).endswith(f"/runs/{run_id}?workflowType=machine_learning")


def test_a_run_judged_again_shows_the_newest_verdict(registry, problem, model):
    run_id = registry.log_run(problem.name, make_run(model))
    later = make_run(model, at=NOW + timedelta(hours=1), tags={"verdict": "reject"}, metrics={"candidate/auc": 0.7})
    assert registry.log_run(problem.name, later) == run_id
    run = registry._client.get_run(run_id)
    assert (run.data.tags["verdict"], run.data.metrics["candidate/auc"]) == ("reject", 0.7)


def test_figures_of_days_become_a_history_of_the_run_once_however_often_they_are_logged(registry, problem, model):
    run_id = registry.log_run(problem.name, make_run(model))
    for day in (2, 1, 2):
        figures, at = {"monitor.data.carrier": day / 10, "monitor.a/b%": 1.0}, NOW + timedelta(days=day)
        assert registry.log_day(problem.name, "night-1", figures, {"monitor dossier": f"http://here/{day}"}, at=at, step=day)
    kept = registry._client.get_metric_history(run_id, "monitor.data.carrier")
    assert sorted((one.step, one.value) for one in kept) == [(1, 0.1), (2, 0.2)]
    run = registry._client.get_run(run_id)
    assert run.data.tags["monitor dossier"] == "http://here/2" and run.info.status == "FINISHED"
    assert not registry.log_day(problem.name, "no such run", {}, {}, at=NOW, step=1)


def test_a_deleted_experiment_comes_back(registry, problem, model):
    run_id = registry.log_run(problem.name, make_run(model))
    client = registry._client
    client.delete_experiment(client.get_run(run_id).info.experiment_id)
    registry.log_run(problem.name, make_run(model, run_key="night-2"))
    assert client.get_experiment_by_name(problem.name).lifecycle_stage == "active"


@pytest.fixture(scope="module")
def registered(mlflow_url, model):
    problem = make_problem(f"registered_{next(NUMBERS)}")
    registry = Registry(mlflow_url)
    run_id = registry.log_run(problem.name, make_run(model))
    version = registry.create_version(problem, run_id, make_candidate(model, tags={"verdict": "promote"}))
    registry.set_alias(problem.name, "champion", version)
    return problem, version


def test_a_version_carries_card_tags_signature_example_and_requirements(registry, registered, model):
    import mlflow

    problem, version = registered
    found = registry.version(problem.name, version)
    assert (found.run_key, found.model_digest, found.tags["verdict"]) == ("night-1", digest(model), "promote")
    assert set(found.aliases) == {"candidate", "champion"}
    client = registry._client
    assert client.get_model_version(problem.name, str(version)).description == "# Card"
    described = client.get_registered_model(problem.name)
    assert "Will it be late?" in described.description
    assert described.tags["metric"] == "auc"
    mlflow.set_tracking_uri(registry.url)
    info = mlflow.models.get_model_info(f"models:/{problem.name}/{version}")
    assert [(column.name, column.type.name, column.required) for column in info.signature.inputs] == [
        ("carrier", "string", False), ("delay", "double", False), ("snow", "boolean", False),
        ("planned", "string", False), ("postcode", "string", False), ("note", "string", False),
    ]  # fmt: skip
    folder = mlflow.artifacts.download_artifacts(f"models:/{problem.name}/{version}/requirements.txt")
    with open(folder) as file:
        assert [line.split("==")[0] for line in file] == ["mlflow", "numpy", "pandas", "tensorflow"]


CLIENT = """
import json, os, sys
import mlflow, pandas as pd
assert "ml" not in sys.modules
rows = json.loads(sys.argv[1])
model = mlflow.pyfunc.load_model(sys.argv[2])
print(json.dumps(model.predict(pd.DataFrame(rows)).to_dict("list")))
assert "ml" not in sys.modules
"""


def test_a_plain_client_without_this_project_gets_the_same_scores(registry, registered, model, tmp_path):
    problem, _ = registered
    uri = f"models:/{problem.name}@champion"
    environment = {"PATH": "/usr/bin", "MLFLOW_TRACKING_URI": registry.url, "TF_CPP_MIN_LOG_LEVEL": "3", "HOME": str(tmp_path)}
    command = [sys.executable, "-I", "-c", CLIENT, json.dumps(ROWS), uri]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout.splitlines()[-1])
    scorer = Scorer.load(model)
    expected = scorer.score(scorer.table(ROWS))
    assert answer["score"] == expected.tolist()
    assert answer["decision"] == (expected >= scorer.thresholds[0]).tolist()


def test_the_input_example_is_a_request_that_mlflows_own_server_would_answer(registry, registered):
    import mlflow

    problem, version = registered
    mlflow.set_tracking_uri(registry.url)
    uri = f"models:/{problem.name}/{version}"
    path = mlflow.artifacts.download_artifacts(f"{uri}/serving_input_example.json")
    with open(path) as file:
        answer = mlflow.models.validate_serving_input(uri, file.read())
    assert list(answer.columns) == ["score", "decision"]
    assert len(answer) == len(ROWS)


SEVERAL = {
    "regression": (["delay"], [], ["score"]),
    "multiclass": (["early", "late"], [], ["score_early", "score_late", "decision"]),
    "multilabel": (["dep", "arr"], [0.2, 0.7], ["score_dep", "score_arr", "decision_dep", "decision_arr"]),
    "vector_regression": (["dep", "arr"], [], ["score_dep", "score_arr"]),
}


@pytest.mark.parametrize("task", SEVERAL)
def test_a_model_of_any_task_is_packed_and_answers_with_a_column_per_output(task, tmp_path):
    import mlflow
    import pandas as pd
    import tensorflow as tf

    outputs, thresholds, columns = SEVERAL[task]
    weights = tf.constant([0.5, 1.0][: len(outputs)])

    @tf.function(autograph=False, input_signature=[tf.TensorSpec([None], tf.float32, "delay")])
    def serve(delay):
        scores = tf.where(tf.math.is_nan(delay), 0.0, delay)[:, None] * weights
        return {"score": scores if len(outputs) > 1 else scores[:, 0]}

    features = {"delay": {"type": "number"}}
    about = {"features": features, "timezone": "UTC", "task": task, "outputs": outputs, "thresholds": thresholds}
    folder = tmp_path / "model"
    tf.saved_model.save(tf.Module(), str(folder / "saved_model"), signatures={"serving_default": serve})
    scores = [[0.5, 1.0], [0.0, 0.0]] if len(outputs) > 1 else [0.5, 0.0]
    (folder / "model.json").write_text(json.dumps(about))
    (folder / "example.json").write_text(json.dumps({"rows": [{"delay": 1.0}, {"delay": None}], "scores": scores}))
    package.write(tmp_path / "packed", folder, {"delay": Feature(type="number")}, mlflow.models.Model())
    loaded = mlflow.pyfunc.load_model(str(tmp_path / "packed"))
    answer = loaded.predict(pd.DataFrame({"delay": [1.0, None]}))
    assert list(answer.columns) == columns == loaded.metadata.signature.outputs.input_names()
    assert np.array_equal(answer[[name for name in columns if "score" in name]].to_numpy().squeeze(), np.squeeze(scores))
    if task == "multiclass":
        assert answer["decision"].tolist() == ["late", "early"]
    if task == "multilabel":
        assert (answer["decision_dep"].tolist(), answer["decision_arr"].tolist()) == ([True, False], [True, False])


def test_through_mlflow_a_missing_column_is_a_null(registry, registered, model):
    import mlflow
    import pandas as pd

    problem, _ = registered
    mlflow.set_tracking_uri(registry.url)
    loaded = mlflow.pyfunc.load_model(f"models:/{problem.name}@champion")
    scorer = Scorer.load(model)
    nothing = dict.fromkeys(scorer.columns)
    for row in ({"delay": 2.0}, {"snow": False, "carrier": None}, {"planned": "2013-12-31T23:59:59-08:00"}):
        expected = scorer.score(scorer.table([nothing | row]))
        assert np.array_equal(loaded.predict(pd.DataFrame([row]))["score"], expected)


def test_a_model_that_answers_otherwise_through_mlflow_is_not_registered(registry, problem, model, tmp_path):
    shutil.copytree(model, tmp_path / "model")
    example = json.loads((model / "example.json").read_text())
    example["scores"][0] += 1e-3
    (tmp_path / "model" / "example.json").write_text(json.dumps(example))
    run_id = registry.log_run(problem.name, make_run(model))
    with pytest.raises(DataError, match=r"1\.00e-03 away"):
        registry.create_version(problem, run_id, make_candidate(tmp_path / "model"))
    assert registry._client.search_model_versions(f"name = '{problem.name}'") == []


def test_a_run_trained_again_gets_a_version_of_its_own(registry, problem, model, tmp_path):
    run_id = registry.log_run(problem.name, make_run(model))
    first = registry.create_version(problem, run_id, make_candidate(model))
    make_model(tmp_path / "model", "other")
    second = registry.create_version(problem, run_id, make_candidate(tmp_path / "model"))
    again = registry.create_version(problem, run_id, make_candidate(tmp_path / "model", card="# Newer"))
    assert (first, second, again) == (1, 2, 2)
    assert registry._client.get_model_version(problem.name, "2").description == "# Newer"


def test_aliases_and_versions_that_are_not_there_are_none(registry, registered):
    problem, version = registered
    assert registry.alias(problem.name, "champion") == version
    assert registry.alias(problem.name, "nobody") is None
    assert registry.alias("no_such_model", "champion") is None
    assert registry.version(problem.name, 99) is None
    assert registry.version("no_such_model", 1) is None


def test_a_server_that_is_away_is_worth_a_retry_and_soon_told(problem, model):
    away = Registry(f"http://127.0.0.1:{free_port(0)}")
    for ask in (
        lambda: away.alias(problem.name, "champion"),
        lambda: away.log_run(problem.name, make_run(model)),
        lambda: away.set_alias(problem.name, "champion", 1),
    ):
        started = time.monotonic()
        with pytest.raises(TransientError, match="is away or fails"):
            ask()
        assert time.monotonic() - started < 15
