"""Labels of every task: which rows have one, how a run keeps it, and the numbers that a network learns."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ml import targets
from ml.errors import DataError
from ml.problem import TASKS, Problem

SOURCE = {"table": "t", "key": "id", "event_time": "at", "label_time": "known_at"}
ROWS = pa.table(
    {
        "late": [True, None, False, True],
        "cancelled": [False, True, None, True],
        "arrival": [3.5, -2.0, None, 60.0],
        "departure": [0.0, 1.0, 2.0, None],
        "how": ["early", "late", None, "late"],
    }
)


def problem(task: str, label: str | list[str], **more: object) -> Problem:
    about = {"name": "p", "title": "p", "task": task, "owner": "me", **more}
    return Problem.model_validate({"problem": about, "source": SOURCE | {"label": label}, "features": {"x": {"type": "number"}}})


@pytest.mark.parametrize(
    ("asked", "outputs", "known", "expected"),
    [
        (problem("binary", "late"), ("late",), [0, 2, 3], [1, 0, 1]),
        (problem("regression", "arrival"), ("arrival",), [0, 1, 3], [3.5, -2, 60]),
        (
            problem("multiclass", "how", classes=["early", "on time", "late"]),
            ("early", "on time", "late"),
            [0, 1, 3],
            [[1, 0, 0], [0, 0, 1], [0, 0, 1]],
        ),
        (problem("multilabel", ["late", "cancelled"]), ("late", "cancelled"), [0, 3], [[1, 0], [1, 1]]),
        (problem("vector_regression", ["departure", "arrival"]), ("departure", "arrival"), [0, 1], [[0, 3.5], [1, -2]]),
    ],
    ids=lambda value: value.problem.task if isinstance(value, Problem) else "",
)
def test_labels_become_numbers_in_the_order_of_the_outputs(asked, outputs, known, expected, tmp_path):
    """A row counts once all its labels are known; a file gives back what was written."""
    found = targets.known(ROWS, asked)
    assert np.flatnonzero(found.to_pylist()).tolist() == known
    rows = ROWS.filter(found)
    pq.write_table(pa.table({"_label": targets.column(rows, asked)}), tmp_path / "rows.parquet")
    read = pq.read_table(tmp_path / "rows.parquet")["_label"]
    assert asked.outputs == outputs
    assert targets.targets(read, asked).tolist() == expected
    assert targets.targets(read, asked).dtype == np.float64


def test_a_class_that_nobody_named_is_an_error():
    asked = problem("multiclass", "how", classes=["early", "on time"])
    with pytest.raises(DataError, match=r"2 labels are none of the classes \['early', 'on time'\], such as \['late'\]"):
        targets.targets(ROWS.filter(targets.known(ROWS, asked))["how"], asked)


@pytest.mark.parametrize(
    ("asked", "labels", "part", "told"),
    [
        (problem("binary", "late"), [True, True], "train", "In the train part every 'late' is True"),
        (problem("binary", "late"), [False, False], "test", "In the test part every 'late' is False"),
        (problem("regression", "arrival"), [2.0, 2.0], "train", "every 'arrival' is 2.0"),
        (problem("multiclass", "how", classes=["a", "b", "c"]), ["a", "b"], "train", "no row, or every row, is 'c'"),
    ],
)
def test_what_teaches_must_know_every_answer(asked, labels, part, told):
    with pytest.raises(DataError, match=told):
        targets.refuse_poor(pa.chunked_array([labels]), asked, part)


def test_a_rare_class_may_be_missing_where_one_is_judged():
    asked = problem("multiclass", "how", classes=["a", "b", "c"])
    targets.refuse_poor(pa.chunked_array([["a", "b"]]), asked, "test")
    several = problem("multilabel", ["late", "cancelled"])
    labels = pa.chunked_array([pa.array([{"late": True, "cancelled": False}, {"late": False, "cancelled": False}])])
    targets.refuse_poor(labels, several, "validation")
    with pytest.raises(DataError, match="In the train part every 'cancelled' is"):
        targets.refuse_poor(labels, several, "train")


@pytest.mark.parametrize("task", TASKS)
def test_without_a_metric_a_task_has_its_own(task):
    label = ["late", "cancelled"] if TASKS[task].several else "late"
    asked = problem(task, label, **({"classes": ["a", "b"]} if task == "multiclass" else {}))
    assert asked.success.metric == TASKS[task].metrics[0]


@pytest.mark.parametrize(
    ("task", "label", "more", "told"),
    [
        ("multilabel", "late", {}, "task = 'multilabel' needs a list of columns"),
        ("binary", ["late", "cancelled"], {}, "task = 'binary' needs one column, no list"),
        ("multiclass", "how", {}, "multiclass needs the values of 'how'"),
        ("regression", "arrival", {"classes": ["a", "b"]}, "other tasks have none; task = 'regression'"),
        ("multiclass", "how", {"classes": ["a", "a"]}, "must be at least two different values"),
        ("multilabel", ["late", "late"], {}, "a list of different ones"),
        ("binary", "Late", {}, "must name one column"),
    ],
)
def test_a_task_and_its_labels_must_fit(task, label, more, told):
    with pytest.raises(ValueError, match=told):
        problem(task, label, **more)


def test_a_metric_of_another_task_is_refused():
    content = problem("regression", "arrival").model_dump()
    with pytest.raises(ValueError, match="'auc' does not fit task = 'regression'"):
        Problem.model_validate(content | {"success": {"metric": "auc"}})


@pytest.mark.parametrize("strange", [float("nan"), float("inf")])
def test_a_number_that_is_none_is_an_error_and_names_its_column(strange):
    one, two = problem("regression", "arrival"), problem("vector_regression", ["departure", "arrival"])
    rows = ROWS.slice(0, 2).set_column(2, "arrival", pa.array([1.0, strange]))
    for asked in (one, two):
        with pytest.raises(DataError, match="1 labels of 'arrival' are NaN or infinite"):
            targets.targets(targets.column(rows, asked), asked)
