"""Every check on one sample: pure, no I/O, no clock."""

from dataclasses import dataclass

import numpy as np

from ml.problem import Problem
from ml.understand import duplicates, label_findings, leakage, served
from ml.understand.columns import Column
from ml.understand.duplicates import Parts
from ml.understand.findings import Finding, Look
from ml.understand.history import History
from ml.understand.label_findings import Words
from ml.understand.labels import Facts
from ml.understand.rates import explained_by_mix
from ml.understand.sample import Sample
from ml.understand.served import Comparison, Served

LONGEST_MEMORY = 180  # days before a moved rate that its mix is compared with


@dataclass(frozen=True)
class Population:
    """What was asked of the service, against what was learned; `unknown` says why there is nothing to compare."""

    served: Served | None = None
    comparisons: tuple[Comparison, ...] = ()
    learned: dict[str, Column] | None = None
    same_time: bool = False
    unknown: str = ""


def looks(sample: Sample, history: History, facts: Facts, parts: Parts, population: Population, problem: Problem) -> list[Look]:
    """All checks of the report."""
    columns = list(sample.columns.values())
    return [
        *_leakage(sample, columns),
        leakage.constant(columns) if sample.num_rows else Look("constant", unknown="there are no rows"),
        *label_findings.look(facts, Words(problem.problem.rows, problem.problem.positive), _explained(sample, facts)),
        duplicates.look(parts),
        *_serving(population, problem),
    ]


def _leakage(sample: Sample, columns: list[Column]) -> list[Look]:
    late = leakage.filled_late(columns, sample.labels)
    known = sample.labels[~np.isnan(sample.labels)]
    fewest = int(min((known == 0).sum(), (known == 1).sum()))
    if fewest < leakage.FEWEST:
        why = f"it takes {leakage.FEWEST} rows of each class, and the rarer one has {fewest}"
        return [Look("leakage", unknown=why), late]
    halves = np.random.default_rng(0).random(sample.num_rows) < 0.5
    asked = leakage.predictors(columns, sample.labels, halves)
    pure = leakage.pure_cells(columns, sample.labels)
    return [leakage.suspects(asked, pure, len(known)), late]


def _explained(sample: Sample, facts: Facts) -> tuple[str, float] | None:
    """How much of a moved rate a changed mix of values explains."""
    if facts.move is None:
        return None
    after = (sample.days >= facts.move.first) & (sample.days <= facts.move.last)
    before = (sample.days < facts.move.first) & (sample.days >= facts.move.first - LONGEST_MEMORY)
    kinds = ("category", "zip", "boolean")
    return explained_by_mix([c for c in sample.columns.values() if c.kind in kinds], sample.labels, before, after)


def _serving(population: Population, problem: Problem) -> list[Look]:
    asked = population.served
    if asked is None or population.learned is None:
        return [Look(name, unknown=population.unknown) for name in ("absent at serving", "sampling bias")]
    lacking = served.absent(asked, population.learned)
    strange: list[Finding] = [one for found in population.comparisons[-1:] for one in served.other_values(found)]
    first = population.comparisons[0] if population.comparisons else None
    bias = served.sampling_bias(first, asked.num_rows, effect=problem.drift.effect, same_time=population.same_time)
    return [lacking._replace(findings=(*lacking.findings, *strange)), bias]
