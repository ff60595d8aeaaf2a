from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.policy import Known, Look, Option, decide, must_look
from ml.problem import Retraining

TODAY = date(2013, 6, 1)
USUAL = Known(
    today=TODAY, trained_on=TODAY - timedelta(days=10), serving=True, num_learned=50_000, num_new=9_000, minutes_needed=2.0
)
CLEAR = Look((Option("sliding", date(2013, 4, 2), gain=0.01, share=0.03, p_value=0.001),), 20)
NOISE = Look((Option("sliding", date(2013, 4, 2), gain=0.01, share=0.03, p_value=0.3),), 20)
TINY = Look((Option("sliding", date(2013, 4, 2), gain=0.001, share=0.003, p_value=0.001),), 20)
WORSE = Look((Option("sliding", date(2013, 4, 2), gain=-0.01, share=-0.03, p_value=0.001),), 20)


def known(**about):
    return replace(USUAL, **about)


@pytest.mark.parametrize(
    ("policy", "about", "train", "rule"),
    [
        ("never", {"serving": False, "trained_on": None}, True, "first"),
        ("never", {"asked": ["drift: concept"]}, False, "never"),
        ("nightly", {}, True, "nightly"),
        ("nightly", {"changed": False}, False, "unchanged"),
        ("weekly", {"trained_on": TODAY - timedelta(days=6)}, False, "weekly"),
        ("weekly", {"trained_on": TODAY - timedelta(days=7)}, True, "weekly"),
        ("weekly", {"trained_on": TODAY, "edited": ["features"]}, True, "edited"),
        ("drift", {}, False, "no drift"),
        ("drift", {"drifted": frozenset({"data"})}, True, "drift"),
        ("drift", {"drifted": frozenset({"data"}), "trained_on": TODAY - timedelta(days=2)}, False, "too soon"),
        ("performance", {"drifted": frozenset({"data"})}, False, "no drift"),
        ("performance", {"drifted": frozenset({"concept"})}, True, "drift"),
        ("evergreen", {"drifted": frozenset({"data"}), "look": NOISE}, False, "no gain"),
        ("evergreen", {"asked": ["drift: concept"], "trained_on": TODAY}, True, "drift"),
        ("evergreen", {"changed": False, "asked": ["days were taken out"]}, True, "drift"),
        ("evergreen", {"changed": False, "edited": ["training"]}, True, "edited"),
        ("evergreen", {"changed": False}, False, "unchanged"),
        ("evergreen", {"trained_on": TODAY - timedelta(days=90)}, True, "longest"),
        ("evergreen", {"trained_on": TODAY - timedelta(days=2), "look": CLEAR}, False, "too soon"),
        ("evergreen", {"num_new": 4_999, "look": CLEAR}, False, "too little"),
        ("evergreen", {"look": NOISE, "num_given": 4_999}, False, "no gain"),
        ("evergreen", {"look": NOISE, "num_given": 5_000}, True, "given"),
        ("evergreen", {"look": CLEAR}, True, "gain"),
        ("evergreen", {"look": NOISE}, False, "no gain"),
        ("evergreen", {"look": TINY}, False, "no gain"),
        ("evergreen", {"look": WORSE}, False, "no gain"),
        ("evergreen", {"look": Look((), 0, "only 2 days")}, False, "not assessable"),
    ],
)
def test_each_policy_trains_by_its_own_rule(policy, about, train, rule):
    decision = decide(known(**about), Retraining(policy=policy))

    assert (decision.train, decision.rule) == (train, rule)
    assert decision.why


def test_the_minutes_of_a_month_hold_for_all_but_the_first_model():
    policy = Retraining(policy="nightly", minutes_per_month=10)

    assert decide(known(minutes_spent=8.0), policy).train
    refused = decide(known(minutes_spent=8.1), policy)
    assert (refused.train, refused.rule) == (False, "budget")
    assert "there are new rows" in refused.why
    assert decide(known(minutes_spent=99.0, serving=False), policy).train


@pytest.mark.parametrize(
    ("better", "error", "memory"),
    [(0.01, 0.002, "break"), (0.001, 0.002, "sliding"), (-0.01, 0.002, "sliding")],
    ids=["clearly better", "within noise", "worse"],
)
def test_another_window_is_taken_when_it_is_better_by_more_than_noise(better, error, memory):
    first, other = Option("sliding", date(2013, 4, 2), gain=0.01, share=0.03, p_value=0.001), date(2013, 5, 1)
    look = Look((first, Option("break", other, better=better, error=error, gain=0.02, share=0.06, p_value=0.001)), 20)

    decision = decide(known(look=look), Retraining())

    assert (decision.train, decision.memory) == (True, memory)
    assert decision.start == (other if memory == "break" else first.start)


@pytest.mark.parametrize(
    ("about", "policy", "looks"),
    [
        ({}, {}, True),
        ({"num_new": 10}, {}, False),
        ({"changed": False}, {}, False),
        ({"asked": ["drift"]}, {}, True),
        ({"asked": ["drift"]}, {"windows": ("sliding",)}, False),
        ({}, {"windows": ("sliding",)}, True),
        ({}, {"policy": "nightly"}, False),
        ({"minutes_spent": 99.0}, {"minutes_per_month": 10, "windows": ("sliding",)}, True),
    ],
)
def test_windows_are_compared_only_where_that_may_change_the_decision(about, policy, looks):
    assert must_look(known(**about), Retraining(**policy)) is looks


@given(
    policy=st.sampled_from(["never", "nightly", "weekly", "drift", "performance", "evergreen"]),
    days=st.integers(0, 400),
    num_new=st.integers(0, 100_000),
    drifted=st.frozensets(st.sampled_from(["data", "prediction", "concept"])),
    spent=st.floats(0, 100),
    look=st.sampled_from([None, CLEAR, NOISE, WORSE]),
)
def test_no_policy_spends_more_than_the_budget_or_learns_from_nothing_new(policy, days, num_new, drifted, spent, look):
    now = known(
        trained_on=TODAY - timedelta(days=days),
        num_new=num_new,
        drifted=drifted,
        minutes_spent=spent,
        minutes_needed=5,
        look=look,
    )
    rule = Retraining(policy=policy, minutes_per_month=50)

    assert not decide(now, rule).train or spent + 5 <= 50
    assert not decide(replace(now, changed=False), rule).train
