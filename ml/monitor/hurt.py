"""Does the drift hurt? Moved columns are weighed by what they are worth to the champion, and told in what it costs a day."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from ml import drift, metrics
from ml.monitor import answers
from ml.monitor.estimate import Estimate
from ml.monitor.evidence import Evidence
from ml.monitor.finding import unknown
from ml.problem import Problem
from ml.records import DriftFinding

SUBJECT = "moved columns"
ALIKE = 0.5  # answers with labels speak for those without when their column had moved at least half as far


@dataclass(frozen=True)
class Moved:
    """One drifted column: what it is worth (metric units), share of rows that moved, and the quality that puts at stake."""

    column: str
    importance: float
    moved: float
    share: float  # of what all moved columns put at stake

    @property
    def at_stake(self) -> float:
        """Metric units: dealing all its values out anew costs `importance`, and this share of them lies elsewhere."""
        return self.importance * self.moved


@dataclass(frozen=True)
class Harm:
    """What drift of the inputs may do. `justified`: whether that is reason to retrain; None where nobody can tell."""

    columns: tuple[Moved, ...]
    at_stake: float  # share of the champion's skill
    cost_per_day: float | None  # units of [success] cost; None where answers decide nothing
    justified: bool | None
    why: str

    @property
    def sentence(self) -> str:
        """For people."""
        named = ", ".join(f"{one.column} {one.share:.0%}" for one in self.columns if one.share)
        cost = f", up to {self.cost_per_day:,.1f} a day" if self.cost_per_day else ""
        told = (
            f"{self.at_stake:.0%} of the champion's skill at stake{f' ({named})' if named else ''}{cost}; "
            if self.columns
            else ""
        )
        return told + self.why


def hurts(findings: Sequence[DriftFinding], evidence: Evidence, problem: Problem, estimate: Estimate | None = None) -> Harm:
    """Weigh the columns that drifted.

    Skill is what the champion is better by than the best constant answer. Where labels of answers that had moved as far have
    come, they decide; until then importance does, and the estimate without labels.
    """
    drifted = [one.subject for one in findings if one.kind == "data" and one.drifted]
    evaluated = evidence.reference.evaluated
    worth = {one.feature: max(one.shuffled, 0.0) for one in evaluated.effects} if evaluated else {}
    if not any(one.drifted is not None for one in findings if one.kind == "data"):
        return Harm((), 0.0, None, None, "no column can be compared")
    if not drifted:
        return Harm((), 0.0, None, False, "no column moved")
    if evaluated is None or evaluated.naive is None or not worth:
        return Harm((), 0.0, None, None, f"{', '.join(drifted)} moved, and the evaluation says nothing of what columns are worth")
    columns = _weighed({name: (worth.get(name, 0.0), _gap(evidence, name, problem)) for name in drifted})
    name = problem.success.metric
    skill = metrics.better(name) * (evaluated.candidate.metrics[name].value - evaluated.naive)
    share = min(1.0, sum(one.at_stake for one in columns) / skill) if skill > 0 else 0.0
    justified, why = _verdict(columns, share, findings, evidence, problem)
    return Harm(columns, share, cost_per_day(share, evidence, problem, estimate), justified, why)


def of_columns(found: Harm, problem: Problem) -> DriftFinding:
    """The same as a finding."""
    if found.justified is None:
        return unknown("hurting", SUBJECT, found.why)
    return DriftFinding(
        kind="hurting",
        subject=SUBJECT,
        drifted=found.justified,
        value=found.at_stake,
        limit=problem.drift.at_stake,
        p_value=None,
        sentence=found.sentence,
    )


def cost_per_day(share: float, evidence: Evidence, problem: Problem, estimate: Estimate | None) -> float | None:
    """What the drift may cost a day, in units of [success] cost: the larger of two accounts.

    Losing a share of the skill loses that share of what decisions save against the cheaper of always and never saying yes; and
    under calibrated scores the expected cost of the served decisions can be added up. Only a yes or no has such costs.
    """
    evaluated, per_day = evidence.reference.evaluated, evidence.num_requests / problem.drift.window_days
    if evaluated is None or not evaluated.costs:
        return None
    saved = min(evaluated.costs["always"], evaluated.costs["never"]) - evaluated.costs["chosen"]
    lost = share * max(saved, 0.0)
    if estimate is not None and estimate.probabilities is not None:
        yes, likely = evidence.scores >= evaluated.threshold, estimate.probabilities
        cost = problem.success.cost
        expected = float(np.where(yes, cost.false_positive * (1 - likely), cost.false_negative * likely).mean())
        lost = max(lost, expected - evaluated.costs["chosen"])
    return per_day * lost


def _verdict(
    columns: Sequence[Moved], share: float, findings: Sequence[DriftFinding], evidence: Evidence, problem: Problem
) -> tuple[bool, str]:
    limit = problem.drift.at_stake
    estimated = any(one.kind == "estimate" and one.drifted for one in findings) and any(one.importance for one in columns)
    if share < limit and not estimated:
        return False, f"less than {limit:.0%}: what moved matters little"
    if _refuted(columns, findings, evidence, problem):
        return False, "answers with labels had moved as far and are as good as promised"
    return (
        True,
        "the estimate without labels says the same" if estimated else f"more than {limit:.0%}, and no labels tell otherwise",
    )


def _refuted(columns: Sequence[Moved], findings: Sequence[DriftFinding], evidence: Evidence, problem: Problem) -> bool:
    """Whether the truth has come for answers that had moved alike, and it is as promised."""
    concept = [one for one in findings if one.kind == "concept"]
    if not any(one.subject == problem.success.metric and one.drifted is False for one in concept):
        return False
    if any(one.drifted for one in concept):
        return False
    first = max(columns, key=lambda one: one.at_stake)
    _, values = answers.column(evidence.labelled, first.column, problem.features[first.column])
    if len(values) < problem.drift.minimum_rows:
        return False
    feature, zone = problem.features[first.column], problem.source.timezone
    then = drift.cells(evidence.reference.columns[first.column], pa.chunked_array([values]), feature, timezone=zone)
    return _total_variation(then) >= ALIKE * first.moved


def _weighed(found: dict[str, tuple[float, float]]) -> tuple[Moved, ...]:
    total = sum(worth * moved for worth, moved in found.values())
    columns = [Moved(name, worth, moved, worth * moved / total if total else 0.0) for name, (worth, moved) in found.items()]
    return tuple(sorted(columns, key=lambda one: -one.at_stake))


def _gap(evidence: Evidence, name: str, problem: Problem) -> float:
    columns = evidence.reference.columns[name], evidence.columns[name]
    return _total_variation(drift.cells(*columns, problem.features[name], timezone=problem.source.timezone))


def _total_variation(found: drift.Cells) -> float:
    """Share of rows that would have to move for the two to be alike, 0 to 1."""
    reference, current = (counts / max(counts.sum(), 1) for counts in found.counts)
    return float(np.abs(reference - current).sum() / 2)
