"""A problem file that asks something else than before: what was made for the old question is not taken for the new one."""

from dataclasses import replace

import pytest

from ml import snapshot, tuned
from ml.features import Encoding
from ml.problem import Problem
from ml.train.stage import job_digest
from tests.integration.state_kit import make_context
from tests.unit.evaluate.kit import problem_of

CLASSES = ("early", "late", "never")


def with_classes(*classes: str) -> Problem:
    problem = problem_of("multiclass")
    return problem.model_copy(update={"problem": problem.problem.model_copy(update={"classes": classes})})


@pytest.fixture
def made(tmp_path):
    """A run that made a model of three classes."""
    context = replace(make_context(tmp_path, "sqlite://", "sqlite://"), problem=with_classes(*CLASSES))
    about = {"task": "multiclass", "outputs": CLASSES}
    context.store.write_json(f"{snapshot.model_name(context.run_key)}/model.json", about)
    return context


@pytest.mark.parametrize(
    "asked", [with_classes("late", "early", "never"), with_classes(*CLASSES, "twice"), problem_of("binary")], ids=lambda _: ""
)
def test_other_classes_another_order_or_task_are_another_question(asked, made):
    assert snapshot.other_question(made) == ""
    told = snapshot.other_question(replace(made, problem=asked))
    assert "'multiclass' and answers early, late, never" in told
    assert ", ".join(asked.outputs) in told


def test_a_single_label_may_get_another_name(made):
    context = replace(made, problem=problem_of("binary"))
    context.store.write_json(f"{snapshot.model_name(made.run_key)}/model.json", {"task": "binary", "outputs": ["old_name"]})
    assert snapshot.other_question(context) == ""


def test_settings_and_checkpoints_are_of_one_order_of_classes():
    one, other = with_classes(*CLASSES), with_classes(*CLASSES[::-1])
    nothing = Encoding(timezone="UTC", features={}, statistics={})
    assert tuned.base(one) != tuned.base(other)
    assert job_digest(one, nothing, "rows", None) != job_digest(other, nothing, "rows", None)
