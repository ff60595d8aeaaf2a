"""What changes between two models' answers: sizes, flips, refusals, and the rows to look at."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.records import Difference
from ml.rehearse import differ
from ml.requests import Logged

Answers = list[dict[str, Any] | str]
SCORES = st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=60)


def binary(*scores: float) -> list[dict[str, Any]]:
    return [{"score": score, "decision": score >= 0.5} for score in scores]


def several(decision: object, **scores: float) -> dict[str, Any]:
    return {"score": max(scores.values()), "decision": decision, "scores": scores}


def test_sizes_and_flips_of_a_yes_or_no():
    found = differ.difference(binary(0.6, 0.4, 0.9, 0.1), binary(0.4, 0.4, 0.8, 0.6))
    assert found.flips == 2 and found.changes == {"from no to yes": 1, "from yes to no": 1}
    assert [found.mean, found.absolute, found.largest] == pytest.approx([-0.05, 0.2, 0.5])


def test_of_several_outputs_the_one_that_differs_most_counts():
    mine = [several("late", early=0.2, late=0.8), several(["a", "b"], early=0.6, late=0.7)]
    theirs = [several("early", early=0.7, late=0.3), several([], early=0.6, late=0.1)]
    found = differ.difference(mine, theirs)
    assert found.changes == {"from early to late": 1, "from none to a and b": 1}
    assert found.largest == pytest.approx(0.6)


def test_numbers_decide_nothing():
    found = differ.difference([{"score": 12.0, "decision": None}], [{"score": 10.0, "decision": None}])
    assert (found.flips, found.changes, found.mean) == (None, {}, 2.0)


def test_refusals_count_where_the_champion_answers():
    mine: Answers = ["no number", "no text", *binary(0.5)]
    theirs: Answers = [*binary(0.5), "no text", *binary(0.5)]
    assert differ.refused(mine, theirs) == ["no number"]
    assert differ.refused(mine, None) == ["no number", "no text"]
    assert differ.answered(mine, theirs) == [2]


def test_rows_to_look_at_are_flips_first_then_the_widest():
    mine, theirs = binary(0.9, 0.51, 0.3, 0.2), binary(0.6, 0.49, 0.3, 0.1)
    assert differ.widest(mine, theirs) == [1, 0, 3], "the third row did not move"
    assert differ.widest([], []) == []


def test_the_champion_is_held_against_its_own_answers_in_the_log_only():
    answers = zip((1, 2), binary(0.5, 0.9), strict=True)
    then = [Logged(version, datetime(2013, 1, 1, tzinfo=UTC), None, {}, answer) for version, answer in answers]
    assert differ.unlike_log([*binary(0.6, 0.1)], then, 1) == pytest.approx(0.1)
    assert differ.unlike_log([*binary(0.6, 0.1)], then, 3) is None
    assert differ.unlike_log([*binary(0.6, 0.1)], [], 1) is None


@given(SCORES)
def test_a_model_beside_itself_changes_nothing_and_sides_are_symmetric(pairs):
    mine, theirs = (binary(*side) for side in zip(*pairs, strict=True))
    same = differ.difference(mine, mine)
    assert (same.flips, same.largest, same.mean, same.changes) == (0, 0, 0, {})
    there, back = differ.difference(mine, theirs), differ.difference(theirs, mine)
    assert isinstance(there, Difference)
    assert (there.flips, there.largest) == (back.flips, back.largest)
    assert there.absolute == pytest.approx(back.absolute)
    assert there.mean == pytest.approx(-back.mean)
    assert there.absolute <= there.largest + 1e-12
