"""Rows to label go out and come back as CSV and as Label Studio's JSON; two labellers are compared."""

import csv
import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml import targets
from ml.errors import DataError
from ml.feedback import agreements, formats
from ml.feedback.answering import Answer
from tests.integration.state_kit import make_problem, problem_of
from tests.unit.feedback.test_worth import make_task

LATE = make_problem("late")
CLASSES = problem_of("multiclass", classes=("a b", 'c,"d'))
LABELS = problem_of("multilabel", label=("late", "lost"))
NUMBER = problem_of("regression")
NUMBERS = problem_of("vector_regression", label=("late", "lost"))
BOTH = {"late": 0.25, "lost": 2.0}
EACH: list[tuple[Any, dict[str, Any], Any, dict[str, str]]] = [
    (LATE, {"decision": True}, True, {"label": "late"}),
    (LATE, {"decision": False}, False, {"label": "No"}),
    (CLASSES, {"decision": "c,\"d", "scores": {"a b": 0.4, "c,\"d": 0.6}}, "c,\"d", {"label": "c,\"d"}),
    (LABELS, {"decision": ["lost"], "scores": BOTH}, {"late": False, "lost": True}, {"late": "0", "lost": "1"}),
    (NUMBER, {"decision": None, "score": 2.5}, 2.5, {"label": "2.5"}),
    (NUMBERS, {"decision": None, "score": None, "scores": BOTH}, BOTH, {"late": "0.25", "lost": "2"}),
]  # fmt: skip


def filled(text: str, cells: dict[str, str], labeller: str = "") -> str:
    """What somebody saves who fills in the label columns."""
    lines = list(csv.DictReader(io.StringIO(text, newline="")))
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, lines[0].keys())
    writer.writeheader()
    writer.writerows(line | cells | {"labeller": labeller} for line in lines)
    return out.getvalue()


@pytest.mark.parametrize(("problem", "answer", "label", "cells"), EACH)
def test_csv_out_filled_in_and_back(problem, answer, label, cells):
    text = formats.to_csv([make_task('key, "1"', **answer)], problem)
    assert formats.from_csv(text, problem, by="me") == [], "nothing is filled in"
    assert formats.from_csv("\ufeff" + filled(text, cells), problem, by="me") == [Answer('key, "1"', label, "me")]
    assert formats.from_csv(filled(text, cells, "anna"), problem, by="me")[0].labeller == "anna"


@pytest.mark.parametrize(("problem", "answer", "label", "cells"), EACH)
def test_a_prediction_accepted_in_label_studio_comes_back_as_that_label(problem, answer, label, cells):
    [task] = json.loads(json.dumps(formats.to_label_studio([make_task("k1", **answer)], problem, version=3)))
    prediction = task["predictions"][0]
    assert prediction["model_version"] == "late version 3"
    exported = [
        {"id": 1, "data": task["data"], "annotations": [{"result": prediction["result"], "completed_by": {"email": "a@b.c"}}]},
        {"id": 2, "data": {"key": "k2"}, "annotations": [{"result": prediction["result"], "was_cancelled": True}]},
        {"id": 3, "data": {"key": "k3"}, "annotations": []},
    ]
    [back] = formats.from_label_studio(exported, problem, by="me")
    assert (back.key, back.labeller) == ("k1", "label-studio:a@b.c")
    assert targets.checked(back.label, problem) == label


def test_what_is_no_label_is_told_with_its_line():
    text = formats.to_csv([make_task("k1")], LATE)
    with pytest.raises(DataError, match="line 2, column label: 'perhaps' is neither yes nor no"):
        formats.from_csv(filled(text, {"label": "perhaps"}), LATE, by="me")
    with pytest.raises(DataError, match="line 2, column label: 'two' is no number"):
        formats.from_csv(filled(text, {"label": "two"}), NUMBER, by="me")
    with pytest.raises(DataError, match="no column 'key'"):
        formats.from_csv("a,b\n1,2\n", LATE, by="me")
    for wrong in ({"tasks": []}, [1], [{"annotations": [{"result": [{}]}], "data": {"key": 1}}]):
        with pytest.raises(DataError, match="Label Studio"):
            formats.from_label_studio(wrong, LATE, by="me")


@given(text=st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20))
def test_no_text_of_a_row_becomes_a_formula_and_every_key_comes_back(text):
    task = make_task(f"k{text}").model_copy(update={"row": {"note": text}})
    held = formats.to_csv([task], LATE)
    [line] = csv.DictReader(io.StringIO(held, newline=""))
    assert not line["note"].startswith(formats.FORMULA)
    assert formats.from_csv(filled(held, {"label": "yes"}), LATE, by="me")[0].key == f"k{text}"


def test_agreement_is_kappa_with_the_rows_on_which_they_differ():
    ones = dict(zip("abcdefgh", [True, True, True, True, False, False, False, False], strict=True))
    others = dict(zip("abcdefghi", [True, True, True, False, False, False, False, True, True], strict=True))
    held = {(key, "anna"): label for key, label in ones.items()} | {(key, "ben"): label for key, label in others.items()}
    [found] = agreements(held | {("z", "carl"): True}, LATE)
    assert (found.labellers, found.num_rows, found.agreed, found.apart) == (("anna", "ben"), 8, 0.75, ("d", "h"))
    assert found.kappa == pytest.approx(0.5)  # 0.75 agree, 0.5 would by chance


def test_kappa_is_not_told_where_it_means_nothing():
    same = {("a", "anna"): True, ("a", "ben"): True}
    assert agreements(same, LATE)[0].kappa is None
    assert agreements({("a", "anna"): 1.5, ("a", "ben"): 2.5}, NUMBER)[0].kappa is None
    several = {(key, by): {"late": key == "a", "lost": True} for key in "ab" for by in ("anna", "ben")}
    assert agreements(several, LABELS)[0].kappa == pytest.approx(1.0)
