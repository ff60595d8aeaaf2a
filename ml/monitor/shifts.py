"""Have the columns that were asked about, and the scores that were answered, moved more than days usually do?"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from ml import drift
from ml.drift import Cells, Days, Shift, Usual
from ml.monitor.evidence import Evidence
from ml.monitor.finding import SCORE, Kind, chance, outputs, too_few, unknown
from ml.monitor.likeness import Like, like_days
from ml.problem import Drift, Problem
from ml.records import DriftFinding

STRINGS = ("category", "zip")
LONGEST = 30  # characters of a value that a sentence quotes


@dataclass(frozen=True)
class Compared:
    """One column against days of the reference.

    smallest: the distance that would have been seen.
    remark: which days it was compared with, where that matters.
    corrected: the p-value over all columns.
    """

    shift: Shift
    smallest: float
    remark: str = ""
    corrected: float = 1.0


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
    found = column_cells(evidence, problem)
    details = {name: _detail(evidence, name, one, problem) for name, one in found.items()}
    moved = {finding.subject: finding for finding in _judged("data", found, details, evidence, policy)}
    return [
        moved[name] if name in moved else unknown("data", name, f"{name} cannot be compared: {evidence.absent[name]}")
        for name in problem.features
    ]


def of_scores(evidence: Evidence, problem: Problem) -> list[DriftFinding]:
    """The scores that were answered against those of the champion's evaluation."""
    policy, promised, served = problem.drift, evidence.reference.scores, evidence.scores
    if evidence.num_requests < policy.minimum_rows:
        return [unknown("prediction", SCORE, too_few(evidence.num_requests, "requests", policy))]
    if len(promised) == 0:
        return [unknown("prediction", SCORE, "the champion's evaluation scored no rows")]
    now, before = outputs(served, problem), outputs(promised, problem)
    found = {name: drift.number_cells(scores, now[name]) for name, scores in before.items()}
    means = {name: f", mean {np.mean(now[name]):.3g} against {np.mean(before[name]):.3g} in the evaluation" for name in before}
    return _judged("prediction", found, means, evidence, policy)


def _judged(
    kind: Kind, found: Mapping[str, Cells], details: Mapping[str, str], evidence: Evidence, policy: Drift
) -> list[DriftFinding]:
    """Every subject against the limits; p-values are corrected over all of them.

    By Benjamini and Yekutieli (2001, Annals of Statistics 29, 1165-1188): among the subjects called drifted the expected
    share of false ones stays below the level, and without any drift so does the chance of calling one, however they hang
    together; wind and gust do, and Benjamini and Hochberg's rule promises nothing then.
    """
    from scipy.stats import false_discovery_control

    if not found:
        return []
    days = evidence.reference.days if kind == "data" else evidence.reference.score_days
    like = like_days(days, evidence.day, policy.window_days)
    level = policy.level / (len(found) * float((1 / np.arange(1, len(found) + 1)).sum()))  # for a single one that moved
    compared = {name: _compare(one, days, like, policy, level=level) for name, one in found.items()}
    corrected = false_discovery_control([one.shift.p_value for one in compared.values()], method="by")
    return [
        _finding(kind, name, replace(compared[name], corrected=float(p_value)), policy, details[name])
        for name, p_value in zip(compared, corrected, strict=True)
    ]


def _compare(found: Cells, days: Days | None, like: Like | None, policy: Drift, *, level: float) -> Compared:
    """With all days, or with those like it where they would show smaller shifts; that is known before today is looked at."""
    whole = _against(found, _usual(found, days, policy), policy, level=level)
    if like is None or days is None:
        return whole
    part = Cells(found.names, found.reference[like.chosen], found.current)
    known = _usual(part, days[like.chosen], policy)
    if not known.num_days:  # a few days on which nothing varied say nothing about days
        return whole
    among = _against(part, known, policy, level=level)
    return replace(among, remark=f", compared with {like.name}") if among.smallest < whole.smallest else whole


def _usual(found: Cells, days: Days | None, policy: Drift) -> Usual:
    if days is None:
        return drift.INDEPENDENT
    return drift.usual(drift.by_day(found.reference, days, len(found.names), length=policy.window_days))


def _against(found: Cells, known: Usual, policy: Drift, *, level: float) -> Compared:
    filled = int((found.counts.sum(axis=0) > 0).sum())
    least = drift.smallest(known, filled - 1, (len(found.reference), len(found.current)), level)
    return Compared(drift.shift(found, known), max(policy.effect, least))


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


def _finding(kind: Kind, subject: str, compared: Compared, policy: Drift, detail: str) -> DriftFinding:
    """Not assessable where days differ so much that hardly any shift would stand out, and none did."""
    moved, blind = compared.shift, compared.smallest >= 1
    drifted = moved.distance >= policy.effect and compared.corrected < policy.level
    seen = "hardly any shift would be seen" if blind else f"a shift of {compared.smallest:.2f} would be seen"
    sentence = (
        f"{subject}: distance {moved.distance:.3f}, limit {policy.effect:g}, {chance(compared.corrected)} over all, "
        f"limit {policy.level:.2g}, {seen}{compared.remark}{detail}"
    )
    return DriftFinding(
        kind=kind,
        subject=subject,
        drifted=drifted if drifted or not blind else None,
        value=moved.distance,
        limit=policy.effect,
        p_value=moved.p_value,
        sentence=sentence,
        smallest=compared.smallest,
    )
