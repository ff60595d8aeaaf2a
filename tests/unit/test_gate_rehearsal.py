"""What the gate makes of a rehearsal: a slow or greedy candidate is refused with a sentence, noise refuses nobody."""

from typing import Any

import numpy as np
import pytest

from ml import gate
from ml import problem as problems
from ml.records import Difference, Effort, Efforts, Growth, Performance, Rehearsed, Verdict
from ml.rehearse import bench
from ml.settings import PROJECT
from tests.unit.test_gate import TODAY, evaluated

FLIGHTS = problems.load("flights", PROJECT / "ml" / "problems")
NAMES = {
    "answers what is asked",
    "time for one row",
    "slowest rows",
    "time for many rows",
    "memory beside the champion",
    "cold start",
}


def performance(**changes: Any) -> Performance:
    plain = {"core": "savedmodel", "row_ms": 0.3, "row_p99_ms": 0.9, "batch_ms": 1.0, "start_s": 0.5, "memory_mb": 80.0}
    return Performance.model_validate(plain | {"size_mb": 0.4} | changes)


def growth(measure: str, times: float = 1.0, at_least: float | None = None, champion: float | None = None) -> Growth:
    usual = getattr(performance(), measure) if champion is None else champion
    sure = times if at_least is None else at_least
    return Growth(measure=measure, candidate=usual * times, champion=usual, times=times, at_least=sure)


def rehearsed(**changes: Any) -> Rehearsed:
    plain = {
        "model_digest": "ab", "asked": "requests", "num_rows": 2000, "batch_rows": 64, "fresh": True, "champion_version": 3,
        "candidate": performance(), "champion": performance(), "seconds": 2.0,
        "growth": [growth(name) for name in (*bench.TIMED, *bench.ONCE)],
        "difference": Difference(num_rows=2000, mean=0.001, absolute=0.01, p99=0.1, largest=0.2, flips=30, changes={}),
    }  # fmt: skip
    return Rehearsed.model_validate(plain | changes)


def judge(found: Rehearsed | None, **policy: Any) -> Verdict:
    problem = FLIGHTS.model_copy(update={"gate": FLIGHTS.gate.model_copy(update=policy)})
    return gate.decide(evaluated(), problem, today=TODAY, rehearsed=found)


def broken(verdict: Verdict) -> dict[str, str]:
    return {rule.rule: rule.sentence for rule in verdict.rules if not rule.holds}


def test_an_equal_candidate_passes_and_every_rule_is_told():
    verdict = judge(rehearsed())
    assert verdict.decision == "promote"
    assert {rule.rule for rule in verdict.rules} >= NAMES


def test_without_a_rehearsal_only_a_limit_that_was_set_cannot_be_judged():
    assert judge(None).decision == "promote"
    for policy in ({"maximum_latency_ms": 5.0}, {"maximum_memory_mb": 500.0}, {"maximum_training_growth": 3.0}):
        verdict = judge(None, **policy)
        assert verdict.decision == "not assessable"
        assert "nobody has measured what the candidate takes" in verdict.sentence


def test_ten_times_slower_is_refused_with_a_sentence():
    slow = [growth("row_ms", 10.2, 9.6), *(growth(name) for name in bench.TIMED[1:])]
    verdict = judge(rehearsed(growth=slow))
    assert verdict.decision == "reject"
    assert broken(verdict) == {
        "time for one row": "an answer to one row takes 3.1 ms, the champion's 0.3 ms: 10 times as much (at least 9.6 times for "
        "sure), 2 times allowed"
    }


@pytest.mark.parametrize(
    ("measure", "champion", "times", "holds"),
    [
        ("row_ms", 0.02, 10.0, False),  # the fastest core there is, ten times slower
        ("row_ms", 0.02, 5.0, True),  # 0.08 ms more is lost in the HTTP around it
        ("row_p99_ms", 0.1, 4.0, True),
        ("batch_ms", 1.0, 2.5, False),
        ("memory_mb", 60.0, 1.7, True),
        ("memory_mb", 60.0, 13.0, False),
        ("start_s", 0.5, 6.0, True),
        ("start_s", 4.0, 3.0, False),
    ],
)
def test_growth_counts_above_the_limit_and_above_a_floor(measure, champion, times, holds):
    verdict = judge(rehearsed(growth=[growth(measure, times, champion=champion)]))
    assert (not broken(verdict)) is holds
    if not holds:
        assert judge(rehearsed(growth=[growth(measure, times, champion=champion)]), maximum_growth=20.0).decision == "promote"


def test_a_large_ratio_that_may_be_noise_breaks_nothing():
    assert judge(rehearsed(growth=[growth("row_p99_ms", 3.0, at_least=0.8)])).decision == "promote"


def test_absolute_limits_and_flips_are_judged_where_they_are_set():
    assert broken(judge(rehearsed(), maximum_latency_ms=0.8)).keys() == {"latency"}
    assert broken(judge(rehearsed(), maximum_memory_mb=70.0)).keys() == {"memory"}
    assert broken(judge(rehearsed(), maximum_flips=0.01)) == {
        "flips": "30 of 2,000 rows are decided otherwise, 1.50%; 1.00% allowed"
    }
    held = judge(rehearsed(), maximum_latency_ms=1.0, maximum_memory_mb=90.0, maximum_flips=0.02)
    assert held.decision == "promote"


def efforts(times: float = 1.0, work: float = 1.0, machine: str = "one", **changes: Any) -> Efforts:
    mine = Effort(seconds=70.0, cpu_seconds=20.0 * times, row_epochs=int(1000 * work), machine=machine)
    theirs = Effort(seconds=30.0, cpu_seconds=20.0, row_epochs=1000, machine="one")
    return Efforts.model_validate({"candidate": mine, "champion": theirs} | changes)


def test_training_is_judged_only_where_it_is_limited():
    costly = rehearsed(training=efforts(3.4, 3.1))
    assert judge(costly).decision == "promote"
    assert judge(costly, maximum_training_growth=4.0).decision == "promote"
    verdict = judge(costly, maximum_training_growth=2.0)
    assert verdict.decision == "reject"
    assert broken(verdict) == {
        "training time": "its training took 68 s of CPU time, the champion's 20 s: 3.4 times as much, for 3.1 times as many rows "
        "and epochs, 2 times allowed"
    }
    (rule,) = (rule for rule in verdict.rules if rule.rule == "training time")
    assert rule.value == pytest.approx(3.4) and rule.limit == 2.0
    assert (
        "(on another kind of machine)"
        in judge(rehearsed(training=efforts(3.4, machine="two")), maximum_training_growth=2.0).sentence
    )


def test_the_clock_of_a_busy_night_breaks_nothing():
    found = efforts(candidate=Effort(seconds=900.0, cpu_seconds=21.0, row_epochs=1000, machine="one"))
    assert judge(rehearsed(training=found), maximum_training_growth=2.0).decision == "promote"


@pytest.mark.parametrize("found", [None, efforts(champion=None, problem="the run folder of champion 3 has no record")])
def test_a_limit_for_training_that_cannot_be_compared_is_not_assessable(found):
    assert judge(rehearsed(training=found)).decision == "promote"
    verdict = judge(rehearsed(training=found), maximum_training_growth=2.0)
    assert verdict.decision == "not assessable"
    assert "take it out until a model trained from now on is champion" in verdict.sentence
    assert (found.problem if found else "older than that") in verdict.sentence


def test_a_first_model_trains_for_as_long_as_it_likes():
    first = rehearsed(champion=None, champion_version=None, difference=None, growth=[], training=efforts(champion=None))
    assert judge(first, maximum_training_growth=2.0).decision == "promote"


def test_rows_that_the_champion_answers_and_the_candidate_refuses_block():
    verdict = judge(rehearsed(num_refused=2, refusal="Row 0, column 'origin': expected a string"))
    assert broken(verdict) == {
        "answers what is asked": "2 of 2,000 logged rows that the champion answers are refused; the first: Row 0, column "
        "'origin': expected a string"
    }


def test_in_simulation_equal_models_break_no_rule_and_ten_times_slower_ones_always_do():
    """Times as a busy machine gives them: heavy tails, drift over the turns, and neighbours that stop one model for a while."""
    draw = np.random.default_rng(3)

    def pair(slower: float) -> tuple[bench.Turns, bench.Turns]:
        busy = 1 + 3 * draw.random((bench.TURNS, 1))  # both models meet the same load in a turn
        return turns(slower * busy), turns(busy)

    def turns(usual: np.ndarray) -> bench.Turns:
        times = usual * draw.lognormal(0, 0.5, (bench.TURNS, 40)) * np.where(draw.random((bench.TURNS, 40)) < 0.03, 20, 1)
        times *= np.where(draw.random((bench.TURNS, 1)) < 0.1, 5, 1)
        return bench.Turns(*(np.quantile(times, q, axis=1) for q in (0.5, 0.99, 0.5)))

    def verdict(slower: float) -> str:
        mine, theirs = pair(slower)
        return judge(rehearsed(growth=bench.growth(taken(mine), taken(theirs), mine, theirs))).decision

    def taken(found: bench.Turns) -> Performance:
        return performance(**{name: float(np.median(getattr(found, name))) for name in bench.TIMED})

    assert {verdict(1.0) for _ in range(300)} == {"promote"}
    assert {verdict(10.0) for _ in range(100)} == {"reject"}


@pytest.mark.parametrize("n", [7, bench.TURNS, 60])
def test_the_sure_bound_exceeds_the_true_median_as_seldom_as_stated(n):
    draw = np.random.default_rng(n)
    wrong = np.mean([bench.surely_above(draw.lognormal(0, 1, n)) > 1 for _ in range(4000)])
    assert wrong <= bench.CHANCE + 3 * (bench.CHANCE / 4000) ** 0.5
    assert bench.surely_above([5.0] * 6) == 0.0, "six turns cannot be that sure"
