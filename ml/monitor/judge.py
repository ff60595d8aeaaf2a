"""From evidence to findings and verdicts: pure, no I/O, no clock."""

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np

from ml import drift, metrics
from ml.drift import Cells, Floats, Shift
from ml.monitor.evidence import Evidence, Labelled, choose
from ml.problem import Drift, Problem
from ml.records import DriftFinding, Interval

Kind = Literal["data", "prediction", "concept"]
Judgement = Literal["drift", "no drift", "not assessable"]
KINDS: tuple[Kind, ...] = ("data", "prediction", "concept")
STRINGS = ("category", "zip")
SCORE = "score"
LONGEST = 30  # characters of a value that a sentence quotes


def findings(evidence: Evidence, problem: Problem) -> list[DriftFinding]:
    """Every column, the scores, the live quality and the calibration, each with its numbers and a sentence."""
    return [*_data(evidence, problem), *_prediction(evidence, problem), *_concept(evidence, problem)]


def column_cells(evidence: Evidence, problem: Problem) -> dict[str, Cells]:
    """The cells of every column that can be compared."""
    return {
        name: drift.cells(evidence.reference.columns[name], evidence.columns[name], feature, timezone=problem.source.timezone)
        for name, feature in problem.features.items()
        if name not in evidence.absent
    }


def verdicts(found: Sequence[DriftFinding], columns_share: float) -> dict[str, Judgement]:
    """Per kind: data drift when enough of the comparable columns moved, the others when any finding says so."""
    return {kind: _verdict([f for f in found if f.kind == kind], columns_share if kind == "data" else 0.0) for kind in KINDS}


def reason(found: Sequence[DriftFinding], judged: dict[str, Judgement], evidence: Evidence, policy: Drift) -> str:
    """What was found, for people: one sentence per kind, then what was left out."""
    parts = [_summary(kind, judged[kind], [f for f in found if f.kind == kind], policy) for kind in KINDS]
    late = evidence.labelled
    aside = {
        "answered by another version": evidence.num_others,
        "repeated keys": late.num_repeated,
        "answers without a key": late.num_keyless,
        "answers still waiting for a label": late.num_waiting,
    }
    parts += [f"{number} {what}" for what, number in aside.items() if number]
    return "; ".join(parts) + "."


def _verdict(found: Sequence[DriftFinding], share: float) -> Judgement:
    assessable = [finding for finding in found if finding.drifted is not None]
    if not assessable:
        return "not assessable"
    moved = sum(bool(finding.drifted) for finding in assessable)
    return "drift" if moved > 0 and moved / len(assessable) >= share else "no drift"


def _summary(kind: Kind, judged: Judgement, found: Sequence[DriftFinding], policy: Drift) -> str:
    if judged == "not assessable":
        return f"{kind} not assessable: {found[0].sentence if found else 'there is nothing to compare'}"
    moved = [finding for finding in found if finding.drifted]
    if kind == "data":
        assessable = sum(finding.drifted is not None for finding in found)
        names = f" ({', '.join(finding.subject for finding in moved)})" if moved else ""
        return f"data: {judged}, {len(moved)} of {assessable} columns moved{names}, drift from {policy.columns_share:.0%} on"
    return f"{kind}: {judged}" + "".join(f", {finding.sentence}" for finding in moved)


def _data(evidence: Evidence, problem: Problem) -> list[DriftFinding]:
    policy = problem.drift
    if evidence.num_requests < policy.minimum_rows:
        why = _too_few(evidence.num_requests, "requests", policy)
        return [_unknown("data", name, why) for name in problem.features]
    compared = column_cells(evidence, problem)
    level = (1 - policy.confidence) / max(len(compared), 1)  # Bonferroni: one false alarm over all columns, not one in each
    found = []
    for name in problem.features:
        if name in evidence.absent:
            found.append(_unknown("data", name, f"{name} cannot be compared: {evidence.absent[name]}"))
            continue
        moved = drift.shift(compared[name])
        detail = _detail(evidence, name, compared[name], problem)
        found.append(_shift_finding("data", name, moved, detail, policy, level=level))
    return found


def outputs(scores: Floats, problem: Problem) -> dict[str, Floats]:
    """Scores by name, each shape (n,): `score`, or `score of NAME` where there are several."""
    if scores.ndim == 1:
        return {SCORE: scores}
    return {f"{SCORE} of {name}": scores[:, place] for place, name in enumerate(problem.outputs)}


def _prediction(evidence: Evidence, problem: Problem) -> list[DriftFinding]:
    policy, promised, served = problem.drift, evidence.reference.scores, evidence.scores
    if evidence.num_requests < policy.minimum_rows:
        return [_unknown("prediction", SCORE, _too_few(evidence.num_requests, "requests", policy))]
    if len(promised) == 0:
        return [_unknown("prediction", SCORE, "the champion's evaluation scored no rows")]
    now, found = outputs(served, problem), []
    for name, before in outputs(promised, problem).items():
        moved = drift.shift(drift.number_cells(before, now[name]))
        detail = f", mean {np.mean(now[name]):.3g} against {np.mean(before):.3g} in the evaluation"
        found.append(_shift_finding("prediction", name, moved, detail, policy, level=(1 - policy.confidence) / len(now)))
    return found


def _concept(evidence: Evidence, problem: Problem) -> list[DriftFinding]:
    """Live quality against the promise, and the mean score against the observed rate."""
    known, policy, name = evidence.labelled, problem.drift, problem.success.metric
    if len(known.labels) < policy.minimum_rows:
        why = _too_few(len(known.labels), "answers with a known label", policy)
        return [_unknown("concept", subject, why) for subject in (name, "calibration")]
    kept = choose(len(known.labels))
    sample = Labelled(known.scores[kept], known.labels[kept], known.num_repeated, known.num_keyless, known.num_waiting)
    return [_quality(sample, evidence.reference.promised.get(name), problem), *_calibration(known, problem)]


def _quality(known: Labelled, promised: Interval | None, problem: Problem) -> DriftFinding:
    """Worse than promised by more than `quality_drop`, and the bootstrap interval does not hold the promise."""
    name, policy = problem.success.metric, problem.drift
    if promised is None or math.isnan(promised.value):
        return _unknown("concept", name, f"the champion's evaluation promised no {name}")
    live = metrics.bootstrap(name, known.labels, known.scores, confidence=policy.confidence)
    if math.isnan(live.value):
        return _unknown("concept", name, f"{name} is not defined: all {len(known.labels)} known labels are the same")
    sign = metrics.better(name)
    excluded = not live.low <= promised.value <= live.high
    drifted = sign * (promised.value - live.value) > policy.quality_drop and excluded
    limit = promised.value - sign * policy.quality_drop
    sentence = (
        f"live {name} {live.value:.3f} [{live.low:.3f}, {live.high:.3f}] on {len(known.labels)} labelled answers, "
        f"promised {promised.value:.3f}, limit {limit:.3f}"
    )
    return DriftFinding(
        kind="concept", subject=name, drifted=drifted, value=live.value, limit=limit, p_value=None, sentence=sentence
    )


def _calibration(known: Labelled, problem: Problem) -> list[DriftFinding]:
    """Per output, whether the mean of the scores is that of the labels; numbers are measured in their own deviations."""
    labels, scores = outputs(known.labels, problem), outputs(known.scores, problem)
    level = (1 - problem.drift.confidence) / len(labels)
    return [
        _mean_gap(name.replace(SCORE, "calibration"), scores[name], truth, problem, level=level) for name, truth in labels.items()
    ]


def _mean_gap(subject: str, scores: Floats, labels: Floats, problem: Problem, *, level: float) -> DriftFinding:
    policy, numbers = problem.drift, problem.task.label == "number"
    unit = float(labels.std()) or 1.0 if numbers else 1.0
    gap, p_value = drift.rate_gap(scores / unit, labels / unit)
    means = [f"{one.mean():.4g}" if numbers else f"{one.mean():.1%}" for one in (scores, labels)]
    sentence = (
        f"predicted {means[0]}, observed {means[1]}: "
        f"gap {gap:+.3f}{' deviations' if numbers else ''}, limit {policy.rate_gap:g} either way, {_chance(p_value)}"
    )
    return DriftFinding(
        kind="concept",
        subject=subject,
        drifted=abs(gap) > policy.rate_gap and p_value < level,
        value=gap,
        limit=policy.rate_gap,
        p_value=p_value,
        sentence=sentence,
    )


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
        f"{subject}: distance {moved.distance:.3f}, limit {policy.effect:g}, {_chance(moved.p_value)}, limit {level:.2g}{detail}"
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


def _unknown(kind: Kind, subject: str, why: str) -> DriftFinding:
    return DriftFinding(kind=kind, subject=subject, drifted=None, value=None, limit=None, p_value=None, sentence=why)


def _too_few(number: int, what: str, policy: Drift) -> str:
    return f"{number} {what}, fewer than [drift] minimum_rows = {policy.minimum_rows}"


def _chance(p_value: float) -> str:
    return "p < 0.0001" if p_value < 0.0001 else f"p = {p_value:.4f}"
