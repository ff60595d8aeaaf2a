"""The gate: promotes only when every rule holds, and says why not."""

from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml import gate
from ml import problem as problems
from ml.records import Effect, Evaluated, Gap, Interval, Reference, Scores
from ml.settings import PROJECT

PROBLEM = problems.load("flights", PROJECT / "ml" / "problems")
TODAY = date(2013, 2, 1)


def around(value: float, half: float = 0.005) -> Interval:
    """As a bootstrap over seven days gives it: half the 95 % interval is 2.447 standard errors."""
    return Interval(value=value, low=value - half, high=value + half, error=half / 2.446912, freedom=6)


def scores(auc: float) -> Scores:
    rest = {"average_precision": around(0.5), "log_loss": around(0.5), "brier": around(0.2)}
    return Scores(metrics={"auc": around(auc)} | rest, slices={})


GAINS = {"prior": around(0.2), "linear": around(0.05), "boosting": around(-0.1)}  # behind what it need not beat


def evaluated(**changes) -> Evaluated:
    plain = dict(
        num_rows=6000, newest_label=date(2013, 1, 30), positive_rate=0.24, candidate=scores(0.70),
        baselines={"prior": scores(0.5), "linear": scores(0.65), "boosting": scores(0.71)},
        champion=scores(0.66), champion_version=3, champion_problem="",
        gain_over_champion=around(0.04), gains_over=GAINS, naive=0.5, slice_gains={}, slice_rows={},
        threshold=0.3, flips=10, calibration_error=0.02, calibration_slope=around(0.9), days=7, spread=0.1,
        example_difference=0.0, size_mb=0.2, effects=(Effect(feature="hour", shuffled=0.05, missing=0.06, moved=0.1),),
        reference=reference(0.01), gaps=(gap(0.05),),
    )  # fmt: skip
    return Evaluated.model_validate(plain | changes)


def reference(gain: float) -> Reference:
    about = {"name": "night-1", "num_rows": 400, "first": date(2013, 1, 1), "last": date(2013, 1, 20), "rows_digest": "ab"}
    return Reference(**about, candidate=scores(0.7), champion=scores(0.7), gain_over_champion=around(gain))


def gap(value: float) -> Gap:
    return Gap(column="origin", measure="share of positives that are found", gap=around(value), best="EWR", worst="LGA")


def feature(shuffled: float) -> Effect:
    return Effect(feature="dep_delay", shuffled=shuffled, missing=shuffled, moved=0.5)


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
        ({"gains_over": {"prior": around(0.2)}}, "reject", "against baseline linear"),
        ({"gain_over_champion": around(-0.2)}, "reject", "against the champion"),
        ({"gain_over_champion": None, "champion_problem": "it learned from them"}, "not assessable", "champion on the same rows"),
        ({"slice_gains": {"origin=EWR": around(-0.2)}}, "reject", "slice origin=EWR"),
        ({"calibration_error": 0.4}, "reject", "calibration"),
        ({"calibration_slope": around(0.3)}, "reject", "not over-confident"),
        ({"gaps": (gap(0.4),)}, "reject", "fairness of origin"),
        ({"reference": reference(-0.2)}, "reject", "reference rows"),
        ({"stale_rows": True}, "reject", "learned from this run's rows"),
        ({"num_seen": 40}, "reject", "unseen test rows"),
        ({"spread": 0.0}, "reject", "not constant"),
        ({"example_difference": 0.2}, "reject", "answers as trained"),
        ({"candidate": scores(0.995), "champion": scores(0.993)}, "reject", "believable"),
        ({"candidate": scores(0.9), "champion": scores(0.85), "effects": (feature(0.38),)}, "reject", "no feature alone"),
        ({"candidate": scores(0.9), "champion": scores(0.66)}, "reject", "believable gain"),
        ({"candidate": scores(float("nan")), "effects": ()}, "not assessable", "labels that tell"),
        ({"gain_over_champion": Interval(value=float("nan"), low=float("nan"), high=0.1)}, "reject", "against the champion"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_decide(changes, decision, rule):
    verdict = decide(**changes)
    broken = [one.rule for one in verdict.rules if not one.holds]
    assert verdict.decision == decision
    assert broken == ([rule] if rule else []) or (rule == "labels that tell" and broken == [rule, "floor of auc"])
    assert all(one.sentence for one in verdict.rules)


def test_default_policy_blocks_an_equal_model():
    verdict = decide(strict(), gain_over_champion=around(0.0))
    assert verdict.decision == "reject"
    assert "auc gain +0.0000 [-0.0050, +0.0050] against champion 3" in verdict.sentence


def test_a_gain_must_be_as_sure_as_the_years_budget_asks():
    luck = around(0.008, half=0.006)  # above zero with 95 % confidence, which forty nights in a year would see by luck
    assert decide(strict(), gain_over_champion=luck).decision == "reject"
    assert decide(strict(lucky_promotions_per_year=20), gain_over_champion=luck).decision == "promote"
    assert decide(strict(), gain_over_champion=around(0.012, half=0.006)).decision == "promote"


def test_what_a_verdict_takes_of_the_budget():
    assert decide(strict()).spent == pytest.approx(1 / 379)
    assert decide(strict(), uses=2).spent == pytest.approx(1 / 379 / 2)
    assert decide(strict(), **FIRST).spent == 0
    assert decide(strict(non_inferiority_margin=0.01)).spent == 0
    assert gate.decide(evaluated(), strict(), today=TODAY, dry_run=True).spent == 0
    assert gate.decide(evaluated(), strict(), today=TODAY, level=0.0).decision == "reject"


def test_rows_that_were_used_before_are_told_and_make_the_test_harder():
    gain = around(0.0108, half=0.006)
    assert decide(strict(), gain_over_champion=gain).decision == "promote"
    again = decide(strict(), gain_over_champion=gain, uses=3)
    assert again.decision == "reject"
    assert "the 3. model on these test rows" in again.sentence


def test_a_margin_lets_an_equal_fresher_model_pass_and_a_worse_one_not():
    policy = strict(non_inferiority_margin=0.01)
    assert decide(policy, gain_over_champion=around(0.0)).decision == "promote"
    assert decide(policy, gain_over_champion=around(-0.008)).decision == "reject"


def test_one_slice_that_is_worse_for_sure_is_refused_among_forty():
    slices = {f"carrier={number}": around(0.0, half=0.04) for number in range(39)} | {"origin=EWR": around(-0.15, half=0.04)}
    broken = [rule for rule in decide(slice_gains=slices).rules if not rule.holds]
    assert [rule.rule for rule in broken] == ["slice origin=EWR"]
    assert "among 40 slices" in broken[0].sentence


def test_noise_in_forty_slices_does_not_block_a_good_model():
    """Each night one of forty sound slices looks bad by itself; in a hundred nights a handful is blocked at most."""
    generator = np.random.default_rng(1)
    blocked = looked_bad = 0
    for _ in range(100):
        errors = 0.03 * np.sqrt(generator.chisquare(6, 40) / 6)
        values = generator.normal(0, 0.03, 40)
        slices = {
            f"carrier={place}": Interval(value=value, low=value - 0.07, high=value + 0.07, error=error, freedom=6)
            for place, (value, error) in enumerate(zip(values, errors, strict=True))
        }
        looked_bad += int((values < -0.05).any())
        blocked += decide(slice_gains=slices).decision != "promote"
    assert looked_bad > 80
    assert blocked <= 11  # binomial(100, 0.05): more with probability below 0.01


def test_a_fairness_gap_that_may_be_noise_is_told_and_does_not_block():
    wide = gap(0.25).model_copy(update={"gap": around(0.25, half=0.2)})
    verdict = decide(gaps=(wide,))
    assert verdict.decision == "promote"
    assert next(rule for rule in verdict.rules if rule.rule == "fairness of origin").value == 0.25


def test_size_is_judged_where_the_problem_limits_it():
    assert not {"size", "latency", "memory"} & {rule.rule for rule in decide(strict()).rules}
    assert decide(strict(maximum_size_mb=0.1)).decision == "reject"
    assert decide(strict(maximum_size_mb=1)).decision == "promote"


@given(gain=st.floats(-0.5, 0.5, allow_subnormal=False), half=st.floats(0, 0.2, allow_subnormal=False))
def test_default_policy_never_promotes_what_may_be_worse(gain, half):
    verdict = decide(strict(), gain_over_champion=around(gain, half), champion=scores(0.7))
    assert (verdict.decision == "promote") <= (gain - half > 0)


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
    assert len(verdict.rules) >= 12


def test_an_evaluation_of_an_earlier_version_is_read_and_judged_strictly():
    """One baseline, intervals without errors, nothing about trust: it loads, and gains are as unsure as their intervals say."""
    one = {"value": 0.7, "low": 0.69, "high": 0.71}
    old = dict(
        num_rows=6000, newest_label="2013-01-30", positive_rate=0.24, candidate={"metrics": {"auc": one}, "slices": {}},
        baseline={"metrics": {"auc": one}, "slices": {}}, champion=None, champion_version=3, champion_problem="",
        gain_over_champion={"value": 0.02, "low": 0.001, "high": 0.039}, gain_over_baseline=one, slice_rows={}, threshold=0.3,
        slice_gains={"a=1": {"value": -0.2, "low": -0.21, "high": -0.19}}, confusion={"true_positive": 1}, flips=0,
        calibration_error=0.02, days=7,
    )  # fmt: skip
    found = Evaluated.model_validate(old)
    assert found.baselines["baseline"].metrics["auc"].value == 0.7
    broken = {rule.rule for rule in gate.decide(found, strict(), today=TODAY).rules if not rule.holds}
    assert broken == {"against baseline prior", "against baseline linear", "against the champion", "slice a=1"}


def test_floor_of_a_loss_is_a_ceiling():
    policy = strict(floors={"log_loss": 0.45})
    assert "floor of log_loss" in {rule.rule for rule in decide(policy).rules if not rule.holds}
