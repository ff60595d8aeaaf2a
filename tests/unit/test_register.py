"""What a run is tagged with."""

import subprocess

import pytest

from ml import register
from ml.register import code_version
from tests.integration import state_kit
from tests.unit import test_gate_rehearsal as rehearsals


@pytest.fixture
def package(tmp_path):
    (tmp_path / "ml").mkdir()
    (tmp_path / "ml" / "__init__.py").write_text("VERSION = 1\n")
    return tmp_path / "ml"


def git(folder, *arguments):
    identity = ("-c", "user.name=tests", "-c", "user.email=tests@example.org")
    done = subprocess.run(["git", "-C", str(folder), *identity, *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_outside_a_checkout_the_code_is_named_by_its_files(package):
    first = code_version(package)
    assert first.startswith("files:")
    assert code_version(package) == first
    (package / "__init__.py").write_text("VERSION = 2\n")
    assert code_version(package) != first


def test_in_a_checkout_the_commit_is_named_and_changes_are_marked(package):
    git(package.parent, "init")
    assert code_version(package).startswith("files:"), "nothing is committed yet"
    git(package.parent, "add", "ml")
    git(package.parent, "commit", "-m", "first")
    commit = git(package.parent, "rev-parse", "HEAD")
    assert code_version(package) == f"git:{commit}"
    (package / "__init__.py").write_text("VERSION = 2\n")
    assert code_version(package) == f"git:{commit}+changes"


def test_a_checkout_that_does_not_hold_the_code_does_not_name_it(package):
    git(package.parent, "init")
    (package.parent / "other").write_text("x")
    git(package.parent, "add", "other")
    git(package.parent, "commit", "-m", "first")
    assert code_version(package).startswith("files:")


def test_without_git_it_does_not_fail(package, monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert code_version(package).startswith("files:")


def test_what_either_training_took_stands_in_mlflow_beside_speed_and_memory(tmp_path):
    night = state_kit.make_context(tmp_path, "sqlite://", "http://127.0.0.1:9")
    assert register._rehearsed_metrics(night) == {}
    night.write(rehearsals.rehearsed(training=rehearsals.efforts(3.0, 2.0)))
    found = register._rehearsed_metrics(night)
    assert (found["candidate/row_ms"], found["champion/memory_mb"]) == (0.3, 80.0)
    assert (found["candidate/training_cpu_seconds"], found["champion/training_row_epochs"]) == (60.0, 1000)
    night.write(rehearsals.rehearsed(champion=None, training=rehearsals.efforts(champion=None)))
    assert not any(name.startswith("champion/") for name in register._rehearsed_metrics(night))
