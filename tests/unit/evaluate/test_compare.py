"""One evaluation of several models: every task, paired on the same draws, slice by slice, and what decisions come to."""

import numpy as np
import pytest
from sklearn import metrics as reference

from ml import metrics
from ml.evaluate import plots
from ml.evaluate.compare import compare, naive
from ml.records import Evaluated
from tests.unit.evaluate.kit import ROWS, TASKS, judged_of, problem_of

PICTURES = {
    "binary": {"roc", "scores", "costs"}, "multiclass": {"confusion"}, "multilabel": {"roc"},
    "regression": {"answers", "errors"}, "vector_regression": {"answers", "errors"},
}  # fmt: skip


@pytest.mark.parametrize("task", TASKS)
def test_every_task_is_judged_beside_champion_and_baseline(task):
    judged = judged_of(task, champion=3.0)
    found = compare(judged)
    assert Evaluated.model_validate_json(found.model_dump_json()) == found
    assert found.champion and found.gain_over_champion and found.calibration_slope and found.spread
    assert set(found.candidate.metrics) == set(judged.problem.task.metrics) == set(found.champion.metrics)
    assert (found.resampled, found.days, found.num_rows) == ("days", 7, ROWS)
    assert found.gain_over_champion.low > 0  # it has a third of the errors
    assert found.gains_over["prior"].low > 0
    assert set(found.slice_gains) == {"place=north", "place=south"} == set(found.candidate.slices)
    assert found.flips > 0
    assert found.calibration_slope.value > 0.3
    assert found.spread > 0.1


@pytest.mark.parametrize("task", TASKS)
def test_a_first_model_has_nothing_to_be_compared_with(task):
    found = compare(judged_of(task, champion=None))
    assert (found.champion, found.champion_version, found.gain_over_champion, found.flips) == (None, None, None, 0)
    assert found.slice_gains == {}
    assert found.candidate.slices


@pytest.mark.parametrize("task", TASKS)
def test_pictures_suit_the_task(task, tmp_path):
    judged = judged_of(task)
    plots.write(tmp_path / "plots", judged, compare(judged), {"loss": [0.6, 0.5], "val_loss": [0.7, 0.6]})
    made = {path.stem for path in (tmp_path / "plots").iterdir()}
    assert made == PICTURES[task] | {"calibration", "history", "slices"}
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in (tmp_path / "plots").iterdir())


def test_equal_models_gain_nothing_and_flip_nothing():
    judged = judged_of("binary")
    theirs = judged.champion.__class__(3, judged.scores["candidate"], thresholds=(0.5,))
    found = compare(judged.__class__(judged.rows, judged.problem, judged.scores, theirs, (0.5,)))
    assert found.gain_over_champion
    assert (found.gain_over_champion.value, found.gain_over_champion.error, found.flips) == (0, 0, 0)


def test_counts_and_costs_are_those_of_the_decisions():
    judged = judged_of("binary", problem=problem_of("binary", success={"cost": {"false_positive": 1, "false_negative": 3}}))
    found, yes, labels = compare(judged), judged.scores["candidate"] >= 0.5, judged.labels
    (right_no, false), (missed, right) = reference.confusion_matrix(labels, yes)
    assert found.confusion == {
        "true_positive": right, "false_positive": false, "false_negative": missed, "true_negative": right_no,
    }  # fmt: skip
    assert found.confusions == {"late": found.confusion}
    assert found.costs["chosen"] == pytest.approx((false + 3 * missed) / ROWS)
    assert found.costs["never"] == pytest.approx(3 * labels.mean())
    assert found.costs["always"] == pytest.approx(1 - labels.mean())
    assert found.costs["cheapest"] <= min(found.costs.values())


def test_classes_are_counted_by_their_likeliest():
    judged = judged_of("multiclass")
    counts = compare(judged).confusions
    truth, said = judged.labels.argmax(axis=1), judged.scores["candidate"].argmax(axis=1)
    assert sum(one["true_positive"] for one in counts.values()) == (truth == said).sum()
    assert {name: one["true_positive"] + one["false_negative"] for name, one in counts.items()} == {
        name: int((truth == place).sum()) for place, name in enumerate(judged.problem.outputs)
    }


def test_numbers_tell_how_far_they_are_off():
    judged = judged_of("vector_regression")
    errors = np.abs(judged.scores["candidate"] - judged.labels)
    found = compare(judged).misses
    assert list(found) == ["left", "came"]
    assert found["came"]["mean"] == pytest.approx(errors[:, 1].mean())
    assert found["left"]["half"] == pytest.approx(np.median(errors[:, 0]))


def test_a_slice_in_which_the_metric_is_not_defined_is_not_judged():
    judged = judged_of("binary")
    north = np.array(judged.rows["place"].to_pylist()) == "north"
    rows = judged.rows.set_column(2, "_label", [np.where(north, True, judged.labels == 1)])
    found = compare(judged.__class__(rows, judged.problem, judged.scores, judged.champion, (0.5,)))
    assert set(found.slice_gains) == {"place=south"}
    assert found.slice_rows["place=north"] == north.sum()


def test_naive_is_what_a_constant_answer_reaches():
    labels = judged_of("binary").labels
    assert naive("auc", labels) == 0.5
    assert naive("brier", labels) == pytest.approx(labels.mean() * (1 - labels.mean()))
    classes = judged_of("multiclass").labels
    shares = classes.mean(axis=0)
    assert naive("log_loss", classes) == pytest.approx(-(shares * np.log(shares)).sum())


def test_gaps_between_protected_groups_are_those_of_the_found_share():
    judged = judged_of("binary", problem=problem_of("binary", success={"protected": ["place"]}))
    (gap,) = compare(judged).gaps
    places, labels = np.array(judged.rows["place"].to_pylist()), judged.labels == 1
    found = {place: (judged.scores["candidate"][labels & (places == place)] >= 0.5).mean() for place in ("north", "south")}
    assert gap.gap.value == pytest.approx(abs(found["north"] - found["south"]))
    assert gap.best == f"place={max(found, key=lambda place: found[place])}"
    assert gap.gap.low <= gap.gap.value <= gap.gap.high


@pytest.mark.parametrize("task", TASKS)
def test_every_task_has_a_measure_of_fairness(task):
    judged = judged_of(task, problem=problem_of(task, success={"protected": ["place"]}))
    (gap,) = compare(judged).gaps
    assert 0 <= gap.gap.value < 0.2
    assert metrics.doubt(gap.gap, 0.4) > 0.5
