"""What stops a challenger, from counts."""

from datetime import UTC, datetime

import numpy as np
import pytest

from ml.problem import Guardrails
from ml.requests import Request
from ml.rollout import Rate
from ml.rollout.guardrails import Counts, distribution, latency_limit_s, rates
from ml.serving.schemas import Plan, Version
from ml.serving.trial import Trial

RAILS = Guardrails()
PLAN = Plan(id="move 2", mode="canary", challenger=Version(version=2, run_key="r", model_digest="0" * 64), share=0.5, step=0)


def holds(counts: Counts) -> dict[str, bool | None]:
    return {rail.rule: rail.holds for rail in rates(counts, RAILS)}


def test_few_requests_say_nothing_but_errors_do():
    assert holds(Counts()) == {"errors": None, "latency": None, "flips": None}
    assert holds(Counts(errors=Rate(3, 3), slow=Rate(9, 9), flips=Rate(9, 9))) == {
        "errors": False,
        "latency": None,
        "flips": None,
    }


@pytest.mark.parametrize(("rule", "field"), [("latency", "slow"), ("flips", "flips"), ("errors", "errors")])
def test_what_always_happens_breaks_its_guardrail_only(rule, field):
    assert {name: found for name, found in holds(Counts(**{field: Rate(40, 40)})).items() if found is not None} == {rule: False}
    assert holds(Counts(**{field: Rate(0, 400)}))[rule] is True


def test_a_limit_is_relative_and_leaves_a_few_milliseconds():
    fast, slow = np.full(100, 0.001), np.full(100, 0.1)
    assert latency_limit_s(fast, RAILS) == pytest.approx(0.006)
    assert latency_limit_s(slow, RAILS) == pytest.approx(0.2)


def test_scores_of_the_same_traffic_are_rarely_told_apart_and_shifted_ones_always():
    rng = np.random.default_rng(1)
    found = [distribution(rng.beta(2, 5, 500), rng.beta(2, 5, 300), RAILS, look=0) for _ in range(200)]
    assert all(rail.holds for rail in found)
    assert distribution(rng.beta(2, 5, 500), rng.beta(5, 2, 300), RAILS, look=0).holds is False


def answered(score: float, decision: bool) -> Request:
    return Request("id", "p", 1, datetime(2026, 1, 1, tzinfo=UTC), ["k"], [{}], [{"score": score, "decision": decision}])


def run(trial: Trial, *, seconds: float, size: int = 400) -> str:
    """Both versions alternate; judged as often as the service does; returns what stops it."""
    rng = np.random.default_rng(2)
    for number in range(size):
        trial.scored("champion", answered(float(rng.random()), True), float(rng.gamma(2, 0.001)))
        trial.scored("challenger", answered(float(rng.random()), True), seconds + float(rng.gamma(2, 0.001)))
        if number % 20 == 19 and (why := trial.judge()):
            return why
    return ""


def test_an_equal_challenger_is_not_stopped_and_a_slow_one_is():
    assert run(Trial(PLAN, RAILS), seconds=0.0) == ""
    assert "guardrail latency" in run(Trial(PLAN, RAILS), seconds=0.05)


def test_a_large_request_is_not_slow_for_being_large():
    trial = Trial(PLAN, RAILS)
    assert run(trial, seconds=0.0) == ""
    large = Request("id", "p", 2, datetime(2026, 1, 1, tzinfo=UTC), ["k"], [{}], [{"score": 0.5, "decision": True}] * 1600)
    for _ in range(50):
        trial.scored("challenger", large, 0.2)
    assert trial.judge() == ""


def test_the_reason_names_the_last_error_in_one_line():
    trial = Trial(PLAN, RAILS)
    for _ in range(3):
        trial.failed("a\n long  story")
    assert trial.judge().endswith("The last error: a long story")


def test_the_next_step_begins_its_count_anew():
    trial = Trial(PLAN, RAILS)
    run(trial, seconds=0.0, size=50)
    assert trial.progress()["requests_in_step"] == 50
    assert trial.go_on(PLAN.model_copy(update={"step": 1, "share": 0.9})) is trial
    assert trial.progress()["requests_in_step"] == 0
    assert trial.progress()["requests"]["challenger"] == 50
    assert trial.plan.share == 0.9
