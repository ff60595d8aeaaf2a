"""What two trainings took, from the records of their runs; a record that is gone, or of another model, is told."""

from dataclasses import replace
from typing import Any

import pytest

from ml.context import Context
from ml.ledger import Champion
from ml.records import Trained
from ml.rehearse import effort
from tests.integration import state_kit

OLD = {"cpu_seconds": None, "row_epochs": None}


@pytest.fixture
def night(tmp_path) -> Context:
    return state_kit.make_context(tmp_path, "sqlite://", "http://127.0.0.1:9", problem="late")


def trained(**changes: Any) -> Trained:
    plain = {
        "model_digest": "mine", "num_parameters": 9, "epochs": 4, "best_epoch": 3, "validation_loss": 0.5,
        "export_difference": 0.0, "made_on": {"cpu": "one"}, "seconds": 30.0, "cpu_seconds": 12.0, "row_epochs": 6_000,
    }  # fmt: skip
    return Trained.model_validate(plain | changes)


def compared(night: Context, mine: Trained, theirs: Trained | None, digest: str = "theirs"):
    if theirs is not None:
        replace(night, run_key="earlier").write(theirs)
    return effort.compared(night, mine, Champion(1, "earlier", digest))


def test_cpu_time_and_work_are_set_against_the_champions(night):
    theirs = trained(model_digest="theirs", seconds=90.0, cpu_seconds=4.0, row_epochs=3_000)
    found = compared(night, trained(), theirs)
    assert (found.times, found.work, found.problem) == (3.0, 2.0, "")
    assert found.champion is not None and (found.champion.seconds, found.champion.machine) == (90.0, "one")


@pytest.mark.parametrize(
    ("mine", "theirs", "told"),
    [
        (trained(), None, "the run folder of champion 1 has no record of its training any more"),
        (trained(), trained(model_digest="another"), "the run of champion 1 has trained another model since"),
        (trained(), trained(model_digest="theirs", **OLD), "champion 1 was trained before CPU time was recorded"),
        (trained(**OLD), trained(model_digest="theirs"), "the candidate was trained before CPU time was recorded"),
    ],
)
def test_what_cannot_be_compared_is_told(night, mine, theirs, told):
    found = compared(night, mine, theirs)
    assert found.problem == told and found.times is None


def test_a_file_that_is_no_record_is_told(night):
    night.store.write_json("runs/earlier/train.json", {"inputs": "", "record": {"model_digest": "theirs"}})
    assert "has no record" in compared(night, trained(), None).problem


def test_a_first_model_and_the_champion_itself_are_compared_with_nothing(night):
    for champion in (None, Champion(1, night.run_key, "mine")):
        found = effort.compared(night, trained(), champion)
        assert (found.champion, found.problem, found.times) == (None, "", None)
