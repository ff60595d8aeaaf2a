"""What the demo decides and says by itself, without a stack."""

import io
import json
from datetime import date
from pathlib import Path

import pytest
from rich.console import Console

from ml.embedded import checks, demo, environment, notes
from ml.embedded.demo import Diary
from ml.embedded.progress import Progress
from ml.embedded.stack import Stack
from ml.errors import ConfigError
from ml.settings import PROJECT

FIRST = date(2013, 2, 1)


def test_the_first_night_is_the_samples(tmp_path):
    assert Diary.read(tmp_path / "flights.nights.json", None).next_night(FIRST) == FIRST


def test_the_next_night_is_the_day_after_the_last_one_that_ended(tmp_path):
    path = tmp_path / "flights.nights.json"
    Diary.read(path, None).add(FIRST).add(date(2013, 2, 2))
    assert Diary.read(path, None).next_night(FIRST) == date(2013, 2, 3)


def test_other_data_for_the_same_folder_are_refused(tmp_path):
    path = tmp_path / "complaints.nights.json"
    Diary.read(path, tmp_path).add(FIRST)
    assert Diary.read(path, None).done == Diary.read(path, tmp_path).done == (FIRST,)
    with pytest.raises(ConfigError, match="Remove that folder"):
        Diary.read(path, Path("/elsewhere"))


def test_a_problem_without_history_is_refused_before_anything_starts(tmp_path):
    text = (PROJECT / "ml" / "problems" / "flights.toml").read_text().replace('name = "flights"', 'name = "lonely"', 1)
    (tmp_path / "lonely.toml").write_text(text)
    with pytest.raises(ConfigError, match="no sample history for 'lonely'"):
        demo.check_arguments(Stack(tmp_path / "home", problems=tmp_path), "lonely", 1)
    assert not (tmp_path / "home").exists()


def test_no_night_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="at least one night"):
        demo.check_arguments(Stack(tmp_path), "flights", 0)


def test_stopping_what_never_started_makes_nothing(tmp_path):
    Stack(tmp_path / "home").stop()
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(
    ("rows", "complains"),
    [
        ({"ingested": 10, "valid": 8, "quarantined": 2}, False),
        ({"ingested": 10, "valid": 8, "quarantined": 1}, True),
        ({"ingested": 0, "valid": 0, "quarantined": 0}, True),
    ],
    ids=["adds up", "a row is lost", "nothing came"],
)
def test_rows_must_reconcile(rows, complains):
    assert bool(checks.rows({"run_key": "night", "rows": rows})) == complains


def test_without_a_terminal_each_step_that_ends_is_one_line():
    file = io.StringIO()
    with Progress(Console(file=file, width=100)) as progress:
        progress.show("retrain train", "running", 1.0)
        progress.show("retrain train", "success", 2.0, "best of 3 epochs")
        progress.show("retrain train", "success", 2.0, "best of 3 epochs")
    lines = file.getvalue().splitlines()
    assert len(lines) == 1
    assert "retrain train" in lines[0] and "2.0 s" in lines[0] and "best of 3 epochs" in lines[0]


def test_a_running_training_shows_its_epoch(tmp_path):
    content = {"epoch": 3, "epochs": 20, "loss": 0.5, "validation_loss": 0.4321}
    (tmp_path / "progress.json").write_text(json.dumps(content))
    assert notes.note("train", tmp_path) == "epoch 3 of at most 20, validation loss 0.4321"
    (tmp_path / "progress.json").write_text(json.dumps({"epoch": 3, "epochs": 7, "loss": 0.5}))
    assert notes.note("train", tmp_path) == "epoch 3 of 7, from training and validation rows"


def test_a_stage_without_a_record_has_no_note(tmp_path):
    assert notes.note("gate", tmp_path) == ""


def test_what_people_set_for_their_own_work_does_not_leak_in():
    outer = {
        "PYTHONDONTWRITEBYTECODE": "1",
        "AIRFLOW__CORE__EXECUTOR": "X",
        "EVERGREEN_STORE": "X",
        "MLFLOW_TRACKING_URI": "X",
        "LANG": "C",
    }
    inner = environment.common(outer)
    assert inner["LANG"] == "C"
    assert not set(outer) & set(inner) - {"LANG"}


def test_every_make_target_says_what_it_does():
    lines = (PROJECT / "Makefile").read_text().splitlines()
    declared = next(line for line in lines if line.startswith(".PHONY:")).removeprefix(".PHONY:").split()
    described = [line.split(":")[0] for line in lines if " ## " in line and not line.startswith("\t")]
    assert sorted(declared) == sorted(described)


def test_every_setting_is_explained_in_the_example():
    from ml.settings import DEFAULTS

    example = (PROJECT / ".env.example").read_text()
    assert not [name for name in DEFAULTS if f"EVERGREEN_{name.upper()}=" not in example]
