"""In plain words: right counts per day, for every task."""

import pytest

from ml.card.words import in_words
from tests.integration.state_kit import make_evaluated, make_problem, problem_of


@pytest.mark.parametrize(
    ("confusion", "num_rows", "told"),
    [
        ((3, 1, 30, 2), 36, "In the 7 test days of 36 flights it warns of 4, of which 3 are really late; it misses 2 late ones"),
        ((0, 7, 693, 0), 700, "of which 0 are really late; it misses 0 late ones (there were none)"),
        ((7000, 0, 0, 70), 7070, "it misses 10 late ones (fewer than 1 in 10)"),
        ((70000, 0, 0, 70000), 140000, "On a usual day of 20,000 flights it warns of 10,000"),
    ],
    ids=["few rows a day", "no positive", "rarely missed", "thousands"],
)  # fmt: skip
def test_counts_suit_the_volume(confusion, num_rows, told):
    names = ("true_positive", "false_positive", "true_negative", "false_negative")
    evaluated = make_evaluated(num_rows=num_rows, confusion=dict(zip(names, confusion, strict=True)))
    assert told in in_words(make_problem("late"), evaluated)


def counts(true: int, false: int, missed: int) -> dict[str, int]:
    return {"true_positive": true, "false_positive": false, "false_negative": missed, "true_negative": 0}


def test_classes():
    found = {"early": counts(2100, 700, 1400), "late": counts(70, 140, 630)}
    evaluated = make_evaluated(task="multiclass", num_rows=7000, confusions=found)
    assert in_words(problem_of("multiclass", classes=("early", "late")), evaluated) == (
        "On a usual day of 1,000 flights it is right for 310 (3 in 10): it says early 400 times, right in 300, and misses 200 "
        "(4 in 10); it says late 30 times, right in 10, and misses 90 (9 in 10)."
    )


def test_labels_and_how_many_are_not_told():
    found = {f"cause_{number}": counts(70 - number, 0, 70) for number in range(6)}
    evaluated = make_evaluated(task="multilabel", num_rows=7000, confusions=found)
    told = in_words(problem_of("multilabel", label=tuple(found)), evaluated)
    assert told.startswith(
        "On a usual day of 1,000 flights of cause_0 it warns 10 times, rightly 10, and misses 10 (5 in 10); of"
    )
    assert told.endswith("; and 2 more.")


def test_numbers():
    misses = {"minutes": {"mean": 14.2, "half": 8.26, "nine_in_ten": 31.0}}
    evaluated = make_evaluated(task="regression", num_rows=7000, misses=misses)
    assert in_words(problem_of("regression"), evaluated) == (
        "On a usual day of 1,000 flights minutes is off by 14 on average, by at most 8.3 for 500 of them "
        "and by at most 31 for 900."
    )
