"""The dossier of a day: what moved, since when, where, what it costs a day, and what is done about it; one page."""

from collections.abc import Mapping, Sequence
from datetime import date

import numpy as np
from markupsafe import Markup

from ml import metrics, pages
from ml.context import Context
from ml.drift import Cells
from ml.monitor import history, shifts
from ml.monitor.evidence import Evidence
from ml.pages import drawing
from ml.problem import Problem
from ml.records import DriftFinding, Evaluated, Monitored, MonitoredDay

PAGE = "dossier.html"
PICTURES = 6  # columns that are drawn, the most important first
LINES = 6  # findings whose way is drawn over the days
NAMED = 3  # cells that are named in words
DAYS = 30


def write(context: Context, record: Monitored, evidence: Evidence | None, evaluated: Evaluated | None) -> None:
    """Write the page into the run's folder; there is one also where nothing could be judged."""
    day = history.day_of(context, record.end) if record.end else context.settings.now().date()
    moved = ranked(record)
    page = pages.render(
        "dossier",
        title=f"{context.problem.problem.title}: what the monitor saw on {day}",
        headline=headline(record),
        proposed=[f"{action.kind.capitalize()}, {action.key}: {action.why}" for action in record.actions],
        costs=_costs(context, record, evidence, evaluated),
        about=_about(record),
        metric=context.problem.success.metric,
        moved=moved,
        timeline=_timeline(context, record, moved, day),
        places=_places(shifts.column_cells(evidence, context.problem), moved) if evidence else [],
        reason=record.reason,
        findings=record.findings,
    )
    context.store.write(context.name(PAGE), page.encode())


def _costs(context: Context, record: Monitored, evidence: Evidence | None, evaluated: Evaluated | None) -> list[str]:
    """What is at stake by what moved, and what the answers whose labels have come did cost."""
    harm = [f"At stake: {one.sentence}." for one in record.findings if one.kind == "hurting" and one.drifted is not None]
    seen = observed_cost(evidence, evaluated, context.problem) if evidence and evaluated else ""
    return [*harm, *([seen] if seen else [])]


def headline(record: Monitored) -> str:
    """The verdicts in one sentence, with the day on which each drift began."""
    moved = [kind for kind, said in record.verdicts.items() if said == "drift"]
    if not moved:
        unknown = all(said == "not assessable" for said in record.verdicts.values())
        return "Nobody can say: nothing could be judged." if unknown else "Nothing stands out."
    begun = {
        kind: min((f.since for f in record.findings if f.kind == kind and f.drifted and f.since), default=None) for kind in moved
    }
    return "Drift: " + ", ".join(f"{kind} since {since}" if since else kind for kind, since in begun.items()) + "."


def ranked(record: Monitored) -> list[DriftFinding]:
    """What drifted: live quality first, then columns by what they are worth to the champion and how far they moved."""

    def weight(one: DriftFinding) -> tuple[bool, float, float]:
        return one.kind != "concept", -(one.importance or 0.0), -abs(one.value or 0.0)

    return sorted((one for one in record.findings if one.drifted), key=weight)


def observed_cost(evidence: Evidence, evaluated: Evaluated, problem: Problem) -> str:
    """What the decisions of answers with labels cost against what the evaluation promised; of yes or no only."""
    known = evidence.labelled
    if "chosen" not in evaluated.costs or len(known.labels) < problem.drift.minimum_rows or known.scores.ndim > 1:
        return ""
    cost, promised = problem.success.cost, evaluated.costs["chosen"]
    prices = {"false_positive": cost.false_positive, "false_negative": cost.false_negative}
    live = metrics.cost_of(known.labels, known.scores, evaluated.threshold, **prices)
    a_day = (live - promised) * evidence.num_requests / problem.drift.window_days
    told = f"{abs(a_day):,.1f} {'more' if a_day > 0 else 'less'} a day"
    return (
        f"{len(known.labels):,} answers with a label cost {live:.3f} each in units of [success] cost, the evaluation promised "
        f"{promised:.3f}; at {evidence.num_requests / problem.drift.window_days:,.0f} answers a day that is {told}."
    )


def cells_in_words(compared: Cells) -> str:
    """Which values became more and which fewer, from their share among the training rows to that among the requests."""
    before, now = (counts / max(counts.sum(), 1) for counts in compared.counts)
    order = np.argsort(now - before)

    def told(places: Sequence[int]) -> str:
        return ", ".join(f"{drawing.clipped(compared.names[n])} {before[n]:.1%} → {now[n]:.1%}" for n in places)

    more = [int(n) for n in order[::-1][:NAMED] if now[n] > before[n]]
    fewer = [int(n) for n in order[:NAMED] if now[n] < before[n]]
    return "; ".join(f"{name}: {told(places)}" for name, places in (("more", more), ("fewer", fewer)) if places) + "."


def _about(record: Monitored) -> str:
    span = f", {record.start:%Y-%m-%d %H:%M} to {record.end:%Y-%m-%d %H:%M} UTC" if record.start and record.end else ""
    asked, known = f"{record.num_requests:,} requests", f"{record.num_labelled:,} answers with a known label"
    return f"Version {record.version or '–'}, {asked}{span}; {known}."


def _places(compared: Mapping[str, Cells], moved: Sequence[DriftFinding]) -> list[tuple[str, str, Markup]]:
    """Per column that moved most: what it is called, which of its values moved, and a picture."""
    names = [one.subject for one in moved if one.kind == "data" and one.subject in compared][:PICTURES]
    return [(name, cells_in_words(compared[name]), _picture(name, compared[name])) for name in names]


def _picture(name: str, compared: Cells) -> Markup:
    before, now = (counts / max(counts.sum(), 1) for counts in compared.counts)
    says = f"{name}: share of the training rows (grey) and of the requests (blue) in each cell"
    with drawing.axes_for(says, width=7.0, height=drawing.height_of(len(before)), xlabel="share") as (axes, done):
        drawing.pairs(axes, compared.names, before, now)
    return done[0]


def _timeline(context: Context, record: Monitored, moved: Sequence[DriftFinding], day: date) -> Markup | None:
    """How far each finding stood from its limit on the days before, as a multiple of the limit; None with a single day."""
    drawn = [one for one in moved if one.kind != "concept" and one.value is not None and one.limit][:LINES]
    if record.version is None or not drawn:
        return None
    before = history.reign(history.days(context, before=day, most=DAYS), record.version)[::-1]
    if not before:
        return None
    says = "value as a multiple of its limit on each day; above the dashed line it stands out"
    with drawing.axes_for(says, width=7.0, ylabel="times the limit") as (axes, done):
        for one in drawn:
            days, values = zip(*[*_way(before, one), (day, abs(one.value or 0.0) / abs(one.limit or 1.0))], strict=True)
            axes.plot(days, values, marker="o", markersize=3, label=drawing.clipped(one.subject))
        axes.axhline(1.0, color="#888888", linestyle="--", linewidth=0.9)
        axes.legend(frameon=False, fontsize=8)
        drawing.dates(axes)
    return done[0]


def _way(before: Sequence[MonitoredDay], one: DriftFinding) -> list[tuple[date, float]]:
    same = ((d.day, f) for d in before for f in d.said.findings if (f.kind, f.subject) == (one.kind, one.subject))
    return [(day, abs(f.value) / abs(f.limit)) for day, f in same if f.value is not None and f.limit]
