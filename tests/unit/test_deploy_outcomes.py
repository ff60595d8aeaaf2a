"""What a decision costs, by task, and which rows of the request log make one outcome."""

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from ml.deploy.outcomes import _by_version, bound, cost
from tests.integration.state_kit import make_problem, problem_of

LATE = make_problem("late").model_copy(
    update={"success": make_problem("late").success.model_validate({"cost": {"false_positive": 1.0, "false_negative": 3.0}})}
)


@pytest.mark.parametrize(
    ("decision", "label", "wanted"), [(True, 1.0, 0.0), (False, 0.0, 0.0), (True, 0.0, 1.0), (False, 1.0, 3.0)]
)
def test_a_yes_or_no_costs_what_the_problem_file_says(decision, label, wanted):
    assert cost(LATE, decision, label) == wanted
    assert bound(LATE) == 3.0


def test_a_wrong_class_costs_one_and_labels_their_share():
    classes = problem_of("multiclass", classes=("a", "b", "c"))
    assert [cost(classes, said, np.array([0.0, 1.0, 0.0])) for said in ("a", "b")] == [1.0, 0.0]
    several = problem_of("multilabel", label=("late", "lost"))
    assert cost(several, ["late"], np.array([1.0, 1.0])) == 0.5
    assert (bound(classes), bound(several), bound(problem_of("regression"))) == (1.0, 1.0, None)


def log(*rows: tuple[int, str, int, str, bool]) -> pa.Table:
    names = ("version", "request_id", "position", "key", "decision")
    columns = {name: list(values) for name, values in zip(names, zip(*rows, strict=True), strict=True)}
    return pa.table(columns | {"several": pa.nulls(len(rows), pa.string())})


def test_an_outcome_is_a_request_and_an_entity_counts_once():
    rows = log(
        (1, "r1", 0, "a", True),
        (1, "r1", 1, "b", True),
        (2, "r2", 0, "c", False),
        (1, "r3", 0, "a", False),  # asked again about the same entity
        (2, "r4", 0, "d", False),  # no label yet
        (2, "r5", 0, "e", True),
    )
    known: dict[str, Any] = {"e": 1.0, "b": 0.0, "a": 1.0, "c": 1.0}
    found = _by_version(rows, known, LATE)
    assert found[1].tolist() == [0.5]
    assert found[2].tolist() == [0.0, 3.0], "in the order in which labels became known"


def test_several_outputs_carry_their_decision_in_the_log():
    classes = problem_of("multiclass", classes=("a", "b", "c"))
    rows = log((1, "r1", 0, "k", False)).set_column(5, "several", pa.array([json.dumps({"decision": "b", "scores": {}})]))
    assert _by_version(rows, {"k": np.array([0.0, 1.0, 0.0])}, classes)[1].tolist() == [0.0]
