"""The gate: promotes only when every rule holds, and says why not."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml import gate
from ml import problem as problems
from ml.records import Evaluated, Interval, Scores
from ml.settings import PROJECT

PROBLEM = problems.load("flights", PROJECT / "ml" / "problems")
TODAY = date(2013, 2, 1)


def around(value: float, half: float = 0.005) -> Interval:
    return Interval(value=value, low=value - half, high=value + half)


def scores(auc: float) -> Scores:
    rest = {"average_precision": around(0.5), "log_loss": around(0.5), "brier": around(0.2)}
    return Scores(metrics={"auc": around(auc)} | rest, slices={})


GAINS = {"prior": around(0.2), "linear": around(0.05), "boosting": around(-0.1)}  # behind what it need not beat


def evaluated(**changes) -> Evaluated:
    plain = dict(
        num_rows=6000, newest_label=date(2013, 1, 30), positive_rate=0.24, candidate=scores(0.70),
        baselines={"prior": scores(0.5), "linear": scores(0.65), "boosting": scores(0.71)}, champion=scores(0.66),
        champion_version=3, champion_problem="", gain_over_champion=around(0.04), gains_over=GAINS, slice_gains={}, slice_rows={},
        threshold=0.3, flips=10, calibration_error=0.02, days=7,
        confusion={"true_positive": 1, "false_positive": 1, "false_negative": 1, "true_negative": 1},
    )  # fmt: skip
    return Evaluated.model_validate(plain | changes)


def decide(problem=PROBLEM, **changes):
    return gate.decide(evaluated(**changes), problem, today=TODAY)


def strict(**policy) -> problems.Problem:
    return PROBLEM.model_copy(update={"gate": problems.Gate(**policy)})


FIRST = {"champion": None, "champion_version": None, "gain_over_champion": None}


@pytest.mark.parametrize(
    ("changes", "decision", "rule"),
    [
        ({}, "promote", None),
        (FIRST, "promote", None),
        ({"num_rows": 3}, "not assessable", "enough test rows"),
        ({"newest_label": date(2013, 1, 1)}, "reject", "freshness"),
        ({"candidate": scores(0.5)}, "reject", "floor of auc"),
        ({"gains_over": GAINS | {"linear": around(-0.2)}}, "reject", "against baseline linear"),
        ({"gains_over": GAINS | {"prior": around(-0.2)}}, "reject", "against baseline prior"),
        ({"gain_over_champion": around(-0.2)}, "reject", "against the champion"),
        ({"gain_over_champion": None, "champion_problem": "it learned from them"}, "not assessable", "champion on the same rows"),
        ({"slice_gains": {"origin=EWR": around(-0.2)}}, "reject", "slice origin=EWR"),
        ({"calibration_error": 0.4}, "reject", "calibration"),
        ({"gain_over_champion": Interval(value=float("nan"), low=float("nan"), high=0.1)}, "reject", "against the champion"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_decide(changes, decision, rule):
    verdict = decide(**changes)
    broken = [one for one in verdict.rules if not one.holds]
    assert verdict.decision == decision
    assert [one.rule for one in broken] == ([rule] if rule else [])
    assert all(one.sentence for one in verdict.rules)


def test_default_policy_blocks_an_equal_model():
    verdict = decide(strict(), gain_over_champion=around(0.0))
    assert verdict.decision == "reject"
    assert "auc gain +0.0000 [-0.0050, +0.0050] against champion 3" in verdict.sentence


def test_a_margin_lets_an_equal_fresher_model_pass_and_a_worse_one_not():
    policy = strict(non_inferiority_margin=0.01)
    assert decide(policy, gain_over_champion=around(0.0)).decision == "promote"
    assert decide(policy, gain_over_champion=around(-0.008)).decision == "reject"


@given(gain=st.floats(-0.5, 0.5), half=st.floats(0, 0.2))
def test_default_policy_never_promotes_what_may_be_worse(gain, half):
    verdict = decide(strict(), gain_over_champion=around(gain, half))
    assert (verdict.decision == "promote") == (gain - half > 0)


@given(
    rows=st.integers(0, 10_000), auc=st.floats(0, 1), over_baseline=st.floats(-1, 1), over_champion=st.floats(-1, 1),
    error=st.floats(0, 1),
)  # fmt: skip
def test_promote_means_every_rule_holds(rows, auc, over_baseline, over_champion, error):
    verdict = decide(
        strict(floors={"auc": 0.6}), num_rows=rows, candidate=scores(auc), gains_over=GAINS | {"linear": around(over_baseline)},
        gain_over_champion=around(over_champion), calibration_error=error,
    )  # fmt: skip
    assert (verdict.decision == "promote") == all(rule.holds for rule in verdict.rules)
    assert len(verdict.rules) >= 6


def test_floor_of_a_loss_is_a_ceiling():
    policy = strict(floors={"log_loss": 0.45})
    assert "floor of log_loss" in {rule.rule for rule in decide(policy).rules if not rule.holds}
