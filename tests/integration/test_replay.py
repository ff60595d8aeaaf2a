"""A registered version trained again from what its run recorded: the same bits, or what is not as it was then."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ml import evaluate, gate, ingest, metrics, prepare, register, replay, snapshot, targets, train, validate
from ml.cli.app import app
from ml.context import Context, open_run
from ml.errors import DataError, RefusedError
from ml.ledger import Champion
from ml.problem import Dp
from ml.records import Prepared, Registered, Trained
from ml.scoring import Scorer
from ml.snapshot import MODEL, NOISE, PROBLEM, ROWS, WEIGHTS
from ml.store import digest


@pytest.fixture
def made(home) -> Context:
    """A night of flights whose model became version 1."""
    context = open_run("flights", "night")
    for stage in (ingest, validate, prepare, train):
        stage.run(context)
    told = Registered(version=1, mlflow_run_id="", url="", made_by={"code_version": "git:before", "problem_digest": ""})
    context.write(told)
    return context


def laid_out(made: Context, to: Path) -> None:
    """The command `export`, on the version that is there, on one that is not, and without a champion."""
    asked = ["export", "--problem", "flights", "--form", "serving", "--version", "1", "--to", str(to), "--json"]
    shown = CliRunner().invoke(app, asked)
    assert shown.exit_code == 0, shown.output
    folder = to / "flights" / "1"
    assert json.loads(shown.stdout) == {"version": 1, "folder": str(folder)}
    assert digest(folder) == digest(made.file(MODEL) / "saved_model")
    for options, complaint in ((["--version", "7"], "no version 7"), ([], "has no champion")):
        refused = CliRunner().invoke(app, ["export", "-p", "flights", "--form", "browser", "--to", str(to / "page"), *options])
        assert isinstance(refused.exception, RefusedError) and complaint in str(refused.exception)


def test_a_version_repeats_itself_to_the_bit_and_says_what_has_changed(made, monkeypatch, tmp_path):
    laid_out(made, tmp_path / "laid")
    found = replay.run(made, 1)
    assert found.same and found.num_differ == 0 and found.largest == 0
    assert found.num_rows > 1000
    assert set(found.changed) == {"code"}  # recorded as another commit above

    files = {path: path.read_bytes() for path in made.file(".").rglob("*") if path.is_file()}
    asked = made.store.read_json(made.name(PROBLEM))
    asked["training"]["seed"] = 2
    made.store.write_json(made.name(PROBLEM), asked)
    shown = CliRunner().invoke(app, ["replay", "--problem", "flights", "--version", "1", "--json"])
    assert shown.exit_code == 1
    told = json.loads(shown.stdout)
    assert not told["same"] and told["num_differ"] > 1000 and told["largest"] > 1e-4
    kept = {path: path.read_bytes() for path in made.file(".").rglob("*") if path.is_file()}
    assert {path.name for path in kept if kept[path] != files[path]} == {PROBLEM}  # a replay writes nothing

    rows = made.file(ROWS)
    rows.write_bytes(rows.read_bytes() + b" ")
    with pytest.raises(DataError, match="rows of run night have changed"):
        replay.run(made, 1)
    with pytest.raises(DataError, match="no version 7"):
        replay.run(made, 7)


@pytest.mark.slow
def test_a_private_night_says_what_it_promises_and_can_be_replayed(home, mlflow_url, monkeypatch):
    monkeypatch.setenv("EVERGREEN_MLFLOW_URL", mlflow_url)
    context = open_run("flights", "private")
    training = context.problem.training.model_copy(update={"dp": Dp(noise=1.1)})
    context = Context(context.problem.model_copy(update={"training": training}), context.settings, "private")
    for stage in (ingest, validate, prepare, train):
        stage.run(context)
    trained = context.record(Trained)
    assert trained.epsilon is not None and 1 < trained.epsilon < 10
    assert trained.delta == 1e-5
    assert context.store.exists(context.name(NOISE)) and NOISE not in register.FILES
    assert "key" not in context.store.read(context.name("train.json")).decode()
    prepared = context.record(Prepared)
    rows = snapshot.rows_of(context, "test")
    scores = Scorer.load(context.file(MODEL)).score(rows)
    assert metrics.metric("auc", targets.targets(rows["_label"], context.problem), scores) > 0.58
    assert prepared.train.num_rows > 10_000
    evaluate.run(context)
    gate.run(context)
    found = register.run(context)
    told = context.registry._client.get_run(found.mlflow_run_id).data.metrics
    assert (told["privacy_epsilon"], told["privacy_delta"]) == (trained.epsilon, trained.delta)
    context.write(found.model_copy(update={"version": 1}))  # whatever the gate said of so noisy a model
    assert replay.run(context, 1).same


@pytest.mark.slow
def test_the_next_night_begins_with_the_champions_weights_and_can_be_replayed(made, monkeypatch):
    assert made.store.exists(made.name(WEIGHTS))
    warm = {"training": made.problem.training.model_copy(update={"warm_start": True})}
    champion = Champion(1, "night", "", None)
    monkeypatch.setattr("ml.ledger.Ledger.champion", lambda self, problem: champion)
    later = Context(made.problem.model_copy(update=warm), made.settings, "later")
    for stage in (ingest, validate, prepare, train):
        stage.run(later)
    trained = later.record(Trained)
    assert (trained.started, trained.began_from) == ("the champion's weights", "night")
    assert trained.validation_loss <= made.record(Trained).validation_loss + 0.01
    later.write(Registered(version=2, mlflow_run_id="", url=""))
    assert replay.run(later, 2).same
