"""Rules about the rehearsal: what callers would be refused, and what the candidate takes beside the champion.

A ratio breaks its rule when it is too large for sure, so that a busy machine breaks none; below a floor growth does not
matter: three times nothing is nothing.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

from ml.gate.rule import rule
from ml.problem import Problem
from ml.records import Growth, Rehearsed, Rule

MEASURED, COMPARED = "latency was measured", "training was compared"


class Measure(NamedTuple):
    """How a measure is told, and by how much it may always grow, in its own unit."""

    rule: str
    told: str
    unit: str
    floor: float


MEASURES = {
    "row_ms": Measure("time for one row", "an answer to one row takes", "ms", 0.1),
    "row_p99_ms": Measure("slowest rows", "one answer in a hundred takes", "ms", 0.5),
    "batch_ms": Measure("time for many rows", "an answer to many rows takes", "ms", 0.5),
    "memory_mb": Measure("memory beside the champion", "its process holds", "MB", 50),
    "start_s": Measure("cold start", "its first answer comes after", "s", 5),
}


def rules(rehearsed: Rehearsed | None, problem: Problem) -> Iterator[Rule]:
    """Every rule about the rehearsal; a limit for what was not measured cannot be judged."""
    yield from _budgets(rehearsed, problem)
    if rehearsed is None:
        return
    yield _refused(rehearsed)
    yield from (growth_rule(one, problem.gate.maximum_growth) for one in rehearsed.growth)
    yield from _flips(rehearsed, problem)
    yield from _training(rehearsed, problem)


def _budgets(rehearsed: Rehearsed | None, problem: Problem) -> Iterator[Rule]:
    latency, memory = problem.gate.maximum_latency_ms, problem.gate.maximum_memory_mb
    if rehearsed is None:
        if any(limit is not None for limit in (latency, memory, problem.gate.maximum_training_growth)):
            told = "a limit for latency, memory or training is set, and nobody has measured what the candidate takes"
            yield rule(MEASURED, None, None, False, told)
        return
    taken = rehearsed.candidate
    if latency is not None:
        sentence = f"99 of 100 answers to one row take at most {_amount(taken.row_p99_ms)} ms, {latency:g} allowed"
        yield rule("latency", taken.row_p99_ms, latency, taken.row_p99_ms <= latency, sentence)
    if memory is not None:
        sentence = f"its process holds {taken.memory_mb:.0f} MB, {memory:g} allowed"
        yield rule("memory", taken.memory_mb, memory, taken.memory_mb <= memory, sentence)


def _refused(rehearsed: Rehearsed) -> Rule:
    """Columns that came or went are a decision of people; a row with all of them must be answered."""
    found, rows = rehearsed.num_refused, "logged" if rehearsed.asked == "requests" else "test"
    more = f"; the first: {rehearsed.refusal}" if found else ""
    champion = " that the champion answers" if rehearsed.champion else ""
    sentence = f"{found:,} of {rehearsed.num_rows:,} {rows} rows{champion} are refused{more}"
    return rule("answers what is asked", found, 0, found == 0, sentence)


def growth_rule(growth: Growth, limit: float) -> Rule:
    """One measure beside the champion's."""
    measure = MEASURES[growth.measure]
    grown = growth.candidate - growth.champion
    holds = growth.at_least <= limit or grown <= measure.floor
    both = f"{_amount(growth.candidate)} {measure.unit}, the champion's {_amount(growth.champion)} {measure.unit}"
    sure = f" (at least {growth.at_least:.2g} times for sure)" if growth.at_least not in (0, growth.times) else ""
    small = f"; less than {measure.floor:g} {measure.unit} more never matters" if holds and growth.at_least > limit else ""
    sentence = f"{measure.told} {both}: {growth.times:.2g} times as much{sure}, {limit:g} times allowed{small}"
    return rule(measure.rule, growth.at_least, limit, holds, sentence)


def _amount(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2g}"


def _flips(rehearsed: Rehearsed, problem: Problem) -> Iterator[Rule]:
    limit, found = problem.gate.maximum_flips, rehearsed.difference
    if limit is None or found is None or found.flips is None:
        return
    share = found.flips / found.num_rows if found.num_rows else math.nan
    sentence = f"{found.flips:,} of {found.num_rows:,} rows are decided otherwise, {share:.2%}; {limit:.2%} allowed"
    yield rule("flips", share, limit, share <= limit, sentence)


def _training(rehearsed: Rehearsed, problem: Problem) -> Iterator[Rule]:
    """CPU time, each from the record of its own night: by the clock, a night in which the machine was busy would be refused."""
    limit, found = problem.gate.maximum_training_growth, rehearsed.training
    if limit is None or rehearsed.champion_version is None:
        return
    if found is None or found.champion is None or found.times is None:
        why = found.problem if found else "this rehearsal is older than that"
        told = f"[gate] maximum_training_growth is set and {why}; take it out until a model trained from now on is champion"
        yield rule(COMPARED, None, limit, False, told)
        return
    both = (
        f"{_amount(found.candidate.cpu_seconds or 0)} s of CPU time, the champion's {_amount(found.champion.cpu_seconds or 0)} s"
    )
    work = f", for {found.work:.2g} times as many rows and epochs" if found.work else ""
    other = "" if found.champion.machine == found.candidate.machine else " (on another kind of machine)"
    sentence = f"its training took {both}{other}: {found.times:.2g} times as much{work}, {limit:g} times allowed"
    yield rule("training time", found.times, limit, found.times <= limit, sentence)
