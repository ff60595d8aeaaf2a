"""From findings to verdicts: pure, no I/O, no clock."""

from collections.abc import Sequence
from typing import Literal

from ml.monitor import delay, hurt, quality, schema, shifts, skew
from ml.monitor import estimate as estimates
from ml.monitor.evidence import Evidence
from ml.monitor.finding import KINDS, Kind
from ml.problem import Drift, Problem
from ml.records import DriftFinding

Judgement = Literal["drift", "no drift", "not assessable"]


def findings(evidence: Evidence, problem: Problem) -> list[DriftFinding]:
    """Columns, scores, quality without labels and with them, inputs and skew, each with its numbers and a sentence."""
    evaluated = evidence.reference.evaluated
    worth = {one.feature: one.shuffled for one in evaluated.effects} if evaluated else {}
    columns = [one.model_copy(update={"importance": worth.get(one.subject)}) for one in shifts.of_columns(evidence, problem)]
    estimated, estimate = estimates.of_answers(evidence, problem)
    found = [*columns, *shifts.of_scores(evidence, problem), *quality.of_labelled(evidence, problem), *estimated]
    harm = hurt.hurts(found, evidence, problem, estimate)
    feed = [*schema.of_inputs(evidence, problem), delay.of_delay(evidence.labelled.waits, problem.drift)]
    return [*found, hurt.of_columns(harm, problem), *feed, *skew.of_skew(evidence.skew, problem)]


def verdicts(found: Sequence[DriftFinding], columns_share: float) -> dict[str, Judgement]:
    """Per kind: data drift when enough of the comparable columns moved, the others when any finding says so."""
    return {kind: _verdict([f for f in found if f.kind == kind], columns_share if kind == "data" else 0.0) for kind in KINDS}


def reason(found: Sequence[DriftFinding], judged: dict[str, Judgement], evidence: Evidence, policy: Drift) -> str:
    """What was found, for people: one sentence per kind, then what was left out."""
    by_kind = {kind: [finding for finding in found if finding.kind == kind] for kind in KINDS}
    parts = [_summary(kind, judged[kind], by_kind[kind], policy) for kind in KINDS if by_kind[kind]]
    late = evidence.labelled
    aside = {
        "answered by another version": evidence.num_others,
        "repeated keys": late.num_repeated,
        "answers without a key": late.num_keyless,
        "answers still waiting for a label": late.num_waiting,
        "answers with a label too young to be judged": late.num_young,
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
        return f"{kind} not assessable: {found[0].sentence}"
    moved = [finding for finding in found if finding.drifted]
    if kind == "data":
        assessable = sum(finding.drifted is not None for finding in found)
        names = f" ({', '.join(finding.subject for finding in moved)})" if moved else ""
        limit = f", drift from {policy.columns_share:.0%} on" if policy.columns_share else ""
        return f"data: {judged}, {len(moved)} of {assessable} columns moved{names}{limit}"
    return f"{kind}: {judged}" + "".join(f", {finding.sentence}" for finding in moved)
