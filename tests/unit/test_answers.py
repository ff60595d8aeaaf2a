"""What scores mean, for every task: a decision, the scores by name, and a sentence."""

from pathlib import Path

import numpy as np
import pytest

from ml.scoring import Scorer, in_words


@pytest.mark.parametrize(
    ("task", "outputs", "thresholds", "scores", "expected", "words"),
    [
        ("binary", ("late",), (0.3,), [0.31, 0.29], [{"score": 0.31, "decision": True}, {"score": 0.29, "decision": False}],
         "0.3100, which means yes"),
        ("regression", ("minutes",), (), [12.5, -3.0], [{"score": 12.5, "decision": None}, {"score": -3.0, "decision": None}],
         "12.5000"),
        ("multiclass", ("early", "late"), (), [[0.6, 0.4], [0.1, 0.9]],
         [{"score": 0.6, "decision": "early", "scores": {"early": 0.6, "late": 0.4}},
          {"score": 0.9, "decision": "late", "scores": {"early": 0.1, "late": 0.9}}],
         "early 0.6, late 0.4, which means early"),
        ("multilabel", ("a", "b"), (0.5, 0.2), [[0.4, 0.1], [0.6, 0.3]],
         [{"score": 0.4, "decision": [], "scores": {"a": 0.4, "b": 0.1}},
          {"score": 0.6, "decision": ["a", "b"], "scores": {"a": 0.6, "b": 0.3}}],
         "a 0.4, b 0.1, which means none of them"),
        ("vector_regression", ("x", "y"), (), [[1.0, 2.0]], [{"score": None, "decision": None, "scores": {"x": 1.0, "y": 2.0}}],
         "x 1, y 2"),
    ],
)  # fmt: skip
def test_every_task_answers_in_its_own_words(task, outputs, thresholds, scores, expected, words):
    scorer = Scorer(Path(), {}, "UTC", task, outputs, thresholds)
    answers = scorer.answers(np.asarray(scores))
    assert answers == expected
    assert in_words(answers[0]) == words


def test_a_list_of_labels_is_told_by_name():
    assert in_words({"score": 0.6, "decision": ["a", "b"], "scores": {"a": 0.6, "b": 0.3}}) == "a 0.6, b 0.3, which means a, b"
