"""Have the columns that were asked about, and the scores that were answered, moved?"""

import numpy as np

from ml import drift
from ml.drift import Cells, Shift
from ml.monitor.evidence import Evidence
from ml.monitor.finding import SCORE, Kind, chance, outputs, too_few, unknown
from ml.problem import Drift, Problem
from ml.records import DriftFinding

STRINGS = ("category", "zip")
LONGEST = 30  # characters of a value that a sentence quotes


def column_cells(evidence: Evidence, problem: Problem) -> dict[str, Cells]:
    """The cells of every column that can be compared."""
    return {
        name: drift.cells(evidence.reference.columns[name], evidence.columns[name], feature, timezone=problem.source.timezone)
        for name, feature in problem.features.items()
        if name not in evidence.absent
    }


def of_columns(evidence: Evidence, problem: Problem) -> list[DriftFinding]:
    """Every column of the requests against the champion's training rows."""
    policy = problem.drift
    if evidence.num_requests < policy.minimum_rows:
        why = too_few(evidence.num_requests, "requests", policy)
        return [unknown("data", name, why) for name in problem.features]
    compared = column_cells(evidence, problem)
    level = (1 - policy.confidence) / max(len(compared), 1)  # Bonferroni: one false alarm over all columns, not one in each
    found = []
    for name in problem.features:
        if name in evidence.absent:
            found.append(unknown("data", name, f"{name} cannot be compared: {evidence.absent[name]}"))
            continue
        moved = drift.shift(compared[name])
        detail = _detail(evidence, name, compared[name], problem)
        found.append(_shift_finding("data", name, moved, detail, policy, level=level))
    return found


def of_scores(evidence: Evidence, problem: Problem) -> list[DriftFinding]:
    """The scores that were answered against those of the champion's evaluation."""
    policy, promised, served = problem.drift, evidence.reference.scores, evidence.scores
    if evidence.num_requests < policy.minimum_rows:
        return [unknown("prediction", SCORE, too_few(evidence.num_requests, "requests", policy))]
    if len(promised) == 0:
        return [unknown("prediction", SCORE, "the champion's evaluation scored no rows")]
    now, found = outputs(served, problem), []
    for name, before in outputs(promised, problem).items():
        moved = drift.shift(drift.number_cells(before, now[name]))
        detail = f", mean {np.mean(now[name]):.3g} against {np.mean(before):.3g} in the evaluation"
        found.append(_shift_finding("prediction", name, moved, detail, policy, level=(1 - policy.confidence) / len(now)))
    return found


def _detail(evidence: Evidence, name: str, compared: Cells, problem: Problem) -> str:
    """Missing and new values, the two shifts that people ask about first."""
    reference, current = compared.counts
    place = compared.names.index(drift.MISSING)
    before, now = reference[place] / max(reference.sum(), 1), current[place] / max(current.sum(), 1)
    detail = f", missing {now:.1%} against {before:.1%}" if before or now else ""
    new, feature = compared.share(drift.UNSEEN), problem.features[name]
    if new and feature.type in STRINGS:
        columns = evidence.reference.columns[name], evidence.columns[name]
        examples = drift.unseen(*columns, feature, timezone=problem.source.timezone)
        detail += f", {new:.1%} not seen in training ({', '.join(repr(_short(value)) for value in examples)})"
    return detail


def _short(value: str) -> str:
    return value if len(value) <= LONGEST else value[: LONGEST - 1] + "…"


def _shift_finding(kind: Kind, subject: str, moved: Shift, detail: str, policy: Drift, *, level: float) -> DriftFinding:
    sentence = (
        f"{subject}: distance {moved.distance:.3f}, limit {policy.effect:g}, {chance(moved.p_value)}, limit {level:.2g}{detail}"
    )
    return DriftFinding(
        kind=kind,
        subject=subject,
        drifted=moved.exceeds(policy.effect, level),
        value=moved.distance,
        limit=policy.effect,
        p_value=moved.p_value,
        sentence=sentence,
    )
