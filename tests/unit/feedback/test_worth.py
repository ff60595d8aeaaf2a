"""Which rows are asked about, the estimate that chance makes unbiased, and that choosing beats chance on real data."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from ml.feedback import audit, worth
from ml.feedback.task import Batch, Task
from tests.integration.state_kit import make_problem, problem_of

NOW = datetime(2013, 2, 1, tzinfo=UTC)
LATE = make_problem("late")


def make_task(key: str, decision: Any = True, *, probability: float = 1.0, **answer: Any) -> Task:
    said = {"score": 0.7, "decision": decision} | answer
    row = {"carrier": "AA"}
    return Task(key=key, request_id="r", position=0, served_at=NOW, row=row, answer=said, why="x", probability=probability)


def test_reasons_take_turns_and_one_that_has_nothing_to_say_yields():
    reasons = {"a": np.array([3.0, 2.0, 1.0, 0.0, 0.0, 0.0]), "b": np.array([5.0, 0.0, 0.0, 4.0, 0.0, 0.0]), "c": np.zeros(6)}
    chosen = worth.choose(reasons, 6, num=5, audit_share=0.2, seed=1)
    told = [(one.place, one.why) for one in chosen if one.why != worth.AUDIT]
    assert told == [(0, "a"), (3, "b"), (1, "a"), (2, "a")]
    [by_chance] = [one for one in chosen if one.why == worth.AUDIT]
    assert (by_chance.place in (4, 5), by_chance.probability) == (True, 0.5)


@given(size=st.integers(0, 60), num=st.integers(1, 50), share=st.floats(0.01, 1), seed=st.integers(0, 99))
def test_each_row_at_most_once_and_the_stated_probabilities_are_those_of_the_draw(size, num, share, seed):
    reasons = {"a": np.random.default_rng(seed).random(size)}
    chosen = worth.choose(reasons, size, num=num, audit_share=share, seed=seed)
    assert len({one.place for one in chosen}) == len(chosen) == min(size, num)
    drawn = [one for one in chosen if one.why == worth.AUDIT]
    assert size <= num or len(drawn) >= 1
    for one in drawn:
        assert one.probability == len(drawn) / (size - len(chosen) + len(drawn))


def test_uncertain_is_what_lies_near_the_threshold_or_between_classes():
    assert worth.uncertainty(np.array([0.3, 0.0, 1.0, 0.65]), 0.3).tolist() == pytest.approx([1.0, 0.0, 0.0, 0.5])
    assert worth.uncertainty(np.array([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0]])).tolist() == [1.0, 0.0]


def test_models_disagree_only_where_both_answered():
    assert worth.disagreement(np.array([0.2, 0.5]), np.array([0.9, np.nan])).tolist() == pytest.approx([0.7, 0.0])
    assert worth.disagreement(np.array([[0.2, 0.8]]), np.array([[0.9, 0.1]])).tolist() == pytest.approx([0.7])


def test_new_is_what_the_model_never_met():
    learned = pa.table({"carrier": ["AA", "B6"], "distance": [100.0, 900.0], "empty": pa.nulls(2, pa.float64())})
    rows = pa.table({"carrier": ["AA", "ZZ", None], "distance": [100.0, 901.0, None], "empty": [None, 1.0, None]})
    assert worth.newness(rows, learned).tolist() == pytest.approx([0.0, 1.0, 2 / 3])


def drawn_batch(wrong: np.ndarray, seed: int) -> tuple[Batch, dict[str, bool]]:
    """Rows of which `wrong` are answered wrongly; the hardest come first among the chosen, as an honest queue would have it."""
    hardness = np.where(wrong, 0.6, 0.4) + 0.3 * np.random.default_rng(0).random(len(wrong))
    chosen = worth.choose({"uncertain": hardness}, len(wrong), num=60, audit_share=0.5, seed=seed)
    tasks = tuple(make_task(str(one.place), probability=one.probability) for one in chosen)
    labels = {task.key: not wrong[int(task.key)] for task in tasks}
    return Batch(name="b", made_at=NOW, version=1, num_candidates=len(wrong), tasks=tasks), labels


def test_the_estimate_is_unbiased_where_the_plain_mean_is_not_and_its_interval_holds_the_truth():
    wrong = np.random.default_rng(3).random(400) < 0.25
    found = [
        audit.estimate([batch], labels, LATE, confidence=0.95) for batch, labels in (drawn_batch(wrong, n) for n in range(300))
    ]
    values = np.array([one.value for one in found if one])
    error = values.std() / np.sqrt(len(values))
    assert abs(values.mean() - wrong.mean()) < 4 * error
    assert found[0] and found[0].plain > wrong.mean() + 0.2, "the labelled rows are the hard ones"
    covered = sum(one.low <= wrong.mean() <= one.high for one in found if one)
    assert covered >= scipy.stats.binom.ppf(
        0.001, len(values), 0.90
    )  # t on a share of a few dozen rows is a little short of 95 %


def test_nothing_is_said_before_two_rows_of_chance_are_labelled_and_a_whole_census_is_exact():
    batch, labels = drawn_batch(np.arange(100) % 4 == 0, 1)
    chance = {task.key for task in batch.tasks if task.probability < 1}
    assert audit.estimate([batch], {key: one for key, one in labels.items() if key not in chance}, LATE, confidence=0.9) is None
    every = Batch(name="e", made_at=NOW, version=1, num_candidates=4, tasks=tuple(make_task(str(one)) for one in range(4)))
    found = audit.estimate([every], {"0": True, "1": True, "2": False, "3": True}, LATE, confidence=0.9)
    assert found and (found.value, found.low, found.high) == (0.25, 0.25, 0.25)


def test_losses_by_task():
    classes, several = problem_of("multiclass", classes=("x", "y")), problem_of("multilabel", label=("late", "lost"))
    assert audit.loss(make_task("k", "x"), "y", classes) == 1.0
    assert audit.loss(make_task("k", ["late"]), {"late": True, "lost": True}, several) == 0.5
    assert audit.loss(make_task("k", None, score=3.0), 4.5, problem_of("regression")) == 1.5
    both = problem_of("vector_regression", label=("late", "lost"))
    assert (
        audit.loss(make_task("k", None, score=None, scores={"late": 1.0, "lost": 2.0}), {"late": 2.0, "lost": 2.0}, both) == 0.5
    )


def test_choosing_beats_chance_at_equal_label_counts_on_handwritten_digits():
    """Real images (scikit-learn's), ten draws; the mean gain in accuracy with its t interval lies above zero."""
    from sklearn.datasets import load_digits
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    images, digits = load_digits(return_X_y=True)
    images = images / 16

    def accuracy(pool: np.ndarray, held_out: np.ndarray, seed: int, *, active: bool) -> float:
        labelled = list(range(40))
        for step in range(5):
            model = LogisticRegression(max_iter=200, tol=1e-3).fit(images[pool[labelled]], digits[pool[labelled]])
            if step == 4:
                return float(model.score(images[held_out], digits[held_out]))
            left = np.setdiff1d(np.arange(len(pool)), labelled)
            reasons = {"uncertain": worth.uncertainty(model.predict_proba(images[pool[left]]))} if active else {}
            chosen = worth.choose(reasons, len(left), num=30, audit_share=0.2, seed=10 * seed + step)
            labelled += left[[one.place for one in chosen]].tolist()
        raise AssertionError

    gains = []
    with threadpool_limits(1):  # threads that wait for each other on a busy machine take ten times as long
        for seed in range(10):
            order = np.random.default_rng(seed).permutation(len(images))
            chosen, drawn = (accuracy(order[:1000], order[1000:], seed, active=active) for active in (True, False))
            gains.append(chosen - drawn)
    half = scipy.stats.t.ppf(0.975, 9) * np.std(gains, ddof=1) / 10**0.5
    assert np.mean(gains) - half > 0, gains
