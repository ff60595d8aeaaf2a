"""Drift is weighed: what moved columns are worth, what that costs a day, and whether it is reason to retrain."""

import numpy as np
import pytest

from ml.monitor import hurt, judge, shifts
from tests.unit.monitor.live_kit import ORDERS, days_of, evidence, labelled, reference, scored, table

SIZE = 1000


def looked(*, known=None, **moved):
    more = {"known": known} if known is not None else {}
    return evidence(columns=table(SIZE, 9, **moved), scores=scored(SIZE, 9)[0], **more)


def harm(whole, extra=()):
    return hurt.hurts([*shifts.of_columns(whole, ORDERS), *extra], whole, ORDERS)


def test_an_irrelevant_column_that_moves_far_does_not_retrain():
    found = harm(looked(noise=5.0))
    assert [one.column for one in found.columns] == ["noise"] and found.columns[0].moved > 0.85
    assert found.justified is False and found.at_stake == 0.0 and "matters little" in found.sentence


def test_an_important_column_that_moves_does_and_the_cost_a_day_is_told():
    found = harm(looked(shift=5.0, noise=5.0))
    assert found.justified is True
    first = found.columns[0]
    assert (first.column, first.share, first.importance) == ("size", 1.0, 0.2)
    evaluated = reference().evaluated
    assert evaluated
    costs = evaluated.costs
    saved = min(costs["always"], costs["never"]) - costs["chosen"]
    assert found.cost_per_day == pytest.approx(SIZE * saved * found.at_stake)
    assert "size 100%" in found.sentence and "a day" in found.sentence


def test_a_small_move_of_an_important_column_matters_less_than_the_limit():
    found = harm(looked(shift=0.6))
    assert [one.column for one in found.columns] == ["size"] and 0 < found.at_stake < 0.25 and found.justified is False


def test_labels_of_answers_that_had_moved_as_far_decide():
    """The same move; the labels of such answers have come, and the champion is as good as promised, or bad."""
    scores, labels = scored(3500, 11)
    for truth, justified in ((labels, False), (1 - labels, True)):
        known = labelled(scores, truth, days_of(3500, 7), table(3500, 12, shift=5.0))
        whole = looked(known=known, shift=5.0)
        found = judge.findings(whole, ORDERS)
        hurting = next(finding for finding in found if finding.kind == "hurting")
        assert hurting.drifted is justified, hurting.sentence
    elsewhere = labelled(scores, labels, days_of(3500, 7), table(3500, 12))
    found = judge.findings(looked(known=elsewhere, shift=5.0), ORDERS)
    assert next(one for one in found if one.kind == "hurting").drifted, "labels of answers that had not moved say nothing"


def test_without_importance_nobody_can_tell():
    whole = looked(shift=5.0)
    silent = whole.reference.evaluated.model_copy(update={"effects": ()})
    object.__setattr__(whole.reference, "evaluated", silent)
    found = harm(whole)
    assert found.justified is None and "what columns are worth" in found.why
    assert hurt.of_columns(found, ORDERS).drifted is None


def test_nothing_moved_and_nothing_to_compare():
    assert harm(looked()).why == "no column moved"
    few = evidence(columns=table(20, 9), scores=scored(20, 9)[0])
    assert harm(few).justified is None


def test_the_judge_gives_columns_their_importance_and_a_verdict_of_its_own():
    found = judge.findings(looked(shift=5.0), ORDERS)
    worth = {one.subject: one.importance for one in found if one.kind == "data"}
    assert worth == {"size": 0.2, "area": 0.02, "noise": -0.001}
    judged = judge.verdicts(found, 0.5)
    assert judged["hurting"] == "drift" and judged["data"] == "no drift", "one of three columns, but the one that matters"
    assert judged["skew"] == "not assessable"


def test_expected_cost_counts_where_scores_themselves_tell_of_worse_decisions():
    """Scores crowd around the threshold: decisions are about to be wrong often, whatever columns moved."""
    whole = looked(noise=5.0)
    object.__setattr__(whole, "scores", np.full(SIZE, 0.5))
    from ml.monitor.estimate import of_answers

    _, estimate = of_answers(whole, ORDERS)
    assert estimate and estimate.probabilities is not None and whole.reference.evaluated
    likely = float(estimate.probabilities.mean())
    expected = 1 - likely - whole.reference.evaluated.costs["chosen"]
    assert hurt.cost_per_day(0.0, whole, ORDERS, estimate) == pytest.approx(SIZE * expected)
