"""Live quality slice by slice against what the evaluation promised of each."""

import math

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ml.metrics import FEWEST_DAYS
from ml.monitor import answers
from ml.monitor.answers import Labelled
from ml.monitor.evidence import Evidence
from ml.monitor.finding import unknown
from ml.monitor.promise import drop, level, live, told
from ml.problem import Problem
from ml.records import DriftFinding, Interval

MISSING = "missing"


def of_slices(known: Labelled, evidence: Evidence, problem: Problem) -> list[DriftFinding]:
    """Every slice that the evaluation judged and that has answers enough, the worst first.

    Over slices the false discovery rate is held (Benjamini and Hochberg 1995, Journal of the Royal Statistical Society B 57,
    289-300): slices of one column do not overlap, so their errors are independent or positively dependent.
    """
    from scipy.stats import false_discovery_control

    if known.days is None or len(np.unique(known.days)) < FEWEST_DAYS:
        return [unknown("concept", "slices", f"answers with labels are of fewer than {FEWEST_DAYS} days")]
    name, policy, promised = problem.success.metric, problem.drift, _promised(evidence)
    rows = []
    for part, mask in masks(known, problem).items():
        inside = known.only(mask)
        if part not in promised or len(inside.labels) < policy.minimum_rows:
            continue
        found = live(inside, promised[part], name, problem.gate.confidence)
        if not math.isnan(found.value):
            rows.append((part, inside, found, *drop(found, promised[part], name)))
    if not rows:
        return []
    corrected = false_discovery_control([p_value for *_, p_value in rows], method="bh")
    findings = [
        (worse, told(inside, found, promised[part], problem, (f"{name} in {part}", bool(moved), float(p_value))))
        for (part, inside, found, worse, _), p_value in zip(rows, corrected, strict=True)
        for moved in [worse > policy.quality_drop and p_value < level(problem)]
    ]
    return [finding for _, finding in sorted(findings, key=lambda one: -one[0])]


def masks(known: Labelled, problem: Problem) -> dict[str, npt.NDArray[np.bool_]]:
    """Answers by `column=value`, as the evaluation names them, over what was asked."""
    found = {}
    for name in dict.fromkeys((*problem.success.slices, *problem.success.protected)):
        places, values = answers.column(known, name, problem.features[name])
        texts = np.asarray(values.cast(pa.string()).fill_null(MISSING).to_pylist(), dtype=object)
        for value in sorted(set(texts)):
            mask = np.zeros(len(known.labels), dtype=bool)
            mask[places[texts == value]] = True
            found[f"{name}={value}"] = mask
    return found


def _promised(evidence: Evidence) -> dict[str, Interval]:
    evaluated = evidence.reference.evaluated
    slices = evaluated.candidate.slices if evaluated else {}
    return {name: one for name, one in slices.items() if not math.isnan(one.value)}
