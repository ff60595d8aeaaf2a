"""The page: findings first, then the labels over time, every column, and how columns go together."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from markupsafe import Markup

from ml import pages
from ml.pages.render import number
from ml.pages.render import share as share_of
from ml.problem import Problem
from ml.redaction import scrub
from ml.understand import association, cards, figures, places, texts
from ml.understand.checks import Population
from ml.understand.findings import SEVERITIES, Reported
from ml.understand.history import Daily, History, date_of, month_starts
from ml.understand.label_findings import Words, delay_words
from ml.understand.labels import Facts, from_the_end, share_by_age
from ml.understand.rates import Periods, Rate
from ml.understand.sample import Plan, Sample

MONTHS = 12  # rows of the table of months
MOST_MISSING = 30  # columns in the chart of missing values
DAYS, WEEKS = 62, 450  # longest history that is drawn by day, by week


@dataclass(frozen=True)
class Seen:
    """What the page is drawn from."""

    plan: Plan
    sample: Sample
    facts: Facts
    history: History
    population: Population


class Section(NamedTuple):
    """A part of the page that the contents lead to."""

    id: str
    title: str


def render(problem: Problem, record: Reported, seen: Seen) -> str:
    """The whole page.

    Raises: nothing that depends on the data: what cannot be drawn is left out and said so.
    """
    sample, words = seen.sample, problem.problem
    label = problem.source.labels[0]
    columns = list(sample.columns.values())
    links = association.associations([c for c in columns if c.declared] or columns, sample.labels, label)
    held: dict[str, Any] = {
        "counts": _counts(record),
        "balance": _balance(problem, seen),
        "months": _months(seen.facts.daily),
        "delay": _delay(seen),
        "cards": cards.cards(sample, words.positive, {finding.subject for finding in record.findings}),
        "rest": cards.rest(sample),
        "missing": _missing(sample),
        "texts": _texts(sample, problem),
        "map": _map(sample, problem),
        "links": links.strongest(),
        "heat": figures.heat(links.names, links.values, _links_say(links)) if len(links.names) > 2 else None,
        "population": seen.population,
    }
    shown = [section for section in SECTIONS if _filled(section.id, held)]
    return pages.render(
        "data", problem=problem, record=record, seen=seen, tiles=_tiles(problem, seen), why="", contents=shown, **held
    )


def empty(problem: Problem, record: Reported, why: str) -> str:
    """The page when there is not one row."""
    nothing: dict[str, Any] = dict.fromkeys(("counts", "balance", "delay", "missing", "map", "heat"))
    lists: dict[str, Any] = {name: [] for name in ("months", "cards", "rest", "texts", "links", "tiles")}
    return pages.render(
        "data",
        problem=problem,
        record=record,
        seen=None,
        population=Population(),
        why=why,
        contents=SECTIONS[:1],
        **nothing,
        **lists,
    )


SECTIONS = (
    Section("findings", "Findings"),
    Section("labels", "Labels over time"),
    Section("columns", "Columns"),
    Section("missing", "Missing values"),
    Section("texts", "Texts"),
    Section("map", "Map"),
    Section("links", "What goes together"),
    Section("served", "Learned and served"),
    Section("about", "About this page"),
)


def _filled(section: str, held: dict[str, Any]) -> bool:
    content = {"labels": "balance", "columns": "cards", "missing": "missing", "texts": "texts", "map": "map", "links": "heat"}
    if section == "served":
        return held["population"].served is not None
    return section not in content or bool(held[content[section]])


def _counts(record: Reported) -> str:
    """`1 serious finding, 2 warnings and no note` in words."""
    number = {severity: sum(finding.severity == severity for finding in record.findings) for severity in SEVERITIES}
    names = {"serious": "serious finding", "warning": "warning", "note": "note"}
    told = [f"{count or 'no'} {names[severity]}{'' if count == 1 else 's'}" for severity, count in number.items()]
    return f"{', '.join(told[:-1])} and {told[-1]}"


def _tiles(problem: Problem, seen: Seen) -> list[tuple[str, str, str]]:
    """The figures of the first screen: value, what it is, and a little more."""
    daily = seen.facts.daily
    rows, labelled = int(daily.rows.sum()), int(daily.labelled.sum())
    rate = Rate(int(daily.positive.sum()), labelled)
    low, high = rate.interval
    span = f"{date_of(daily.first)} to {date_of(daily.first + len(daily.rows) - 1)}"
    declared = len(seen.sample.declared)
    more = len(seen.sample.columns) - declared
    newest = int(daily.rows[max(0, _place(seen.plan.newest.start, daily)) :].sum())
    return [
        (number(rows), problem.problem.rows, span),
        (share_of(rate.value), problem.problem.positive, f"95% interval {low:.1%} to {high:.1%}" if labelled else "no label yet"),
        (share_of(labelled / rows if rows else None), "with a label", f"{rows - labelled:,} without"),
        (number(newest), f"in the newest {seen.plan.newest.days} days", f"from {seen.plan.newest.start} on"),
        (number(declared), "features", f"and {more} more column{'s' * (more > 1)}" if more else "of the problem file"),
    ]


def _place(day: Any, daily: Daily) -> int:
    return int(np.datetime64(day, "D").astype(np.int64)) - daily.first


def _balance(problem: Problem, seen: Seen) -> Markup | None:
    """Rate and rows by day, week or month."""
    daily, words = seen.facts.daily, problem.problem
    size = len(daily.rows)
    if daily.labelled.sum() == 0:
        return None
    starts, unit = (np.arange(size), "day") if size <= DAYS else (from_the_end(size, 7), "week")
    if size > WEEKS:
        starts, unit = month_starts(daily.first, size), "month"
    periods = daily.grouped(starts)
    found = tuple(Rate(int(one), int(rows)) for one, rows in zip(periods.positive, periods.labelled, strict=True))
    says = f"Share {words.positive} by {unit}; it lies between {_span(found)}."
    drawn = Periods(starts + daily.first, found, tuple(periods.rows.tolist()))
    return figures.over_time(drawn, _waiting(seen.facts), says, Words(words.rows, words.positive))


def _waiting(facts: Facts) -> tuple[float, float] | None:
    """The days whose labels are not complete, whatever the reason."""
    end = facts.daily.first + len(facts.daily.rows)
    starts = [facts.daily.first + facts.first_incomplete] if facts.first_incomplete < len(facts.daily.rows) else []
    if facts.move and facts.move.cut:
        starts.append(facts.move.first)
    return (min(starts), end) if starts else None


def _span(found: Sequence[Rate]) -> str:
    values = [rate.value for rate in found if rate.value is not None and rate.rows >= 20]
    return f"{min(values):.1%} and {max(values):.1%}" if values else "nothing known"


def _months(daily: Daily) -> list[tuple[str, int, float | None, Rate]]:
    """The newest months: name, rows, share with a label, rate."""
    starts = month_starts(daily.first, len(daily.rows))
    months = daily.grouped(starts)
    found = [
        (
            date_of(daily.first + int(start))[:7],
            int(months.rows[place]),
            months.labelled[place] / months.rows[place] if months.rows[place] else None,
            Rate(int(months.positive[place]), int(months.labelled[place])),
        )
        for place, start in enumerate(starts)
    ]
    return found[-MONTHS:]


def _delay(seen: Seen) -> tuple[Markup, str] | None:
    """How labels come in with the age of a row, drawn and in words."""
    wait = seen.facts.delay
    if wait is None:
        return None
    most = min(max(int(wait.days * 1.3), 7), 180)
    expected, now = share_by_age(seen.history, seen.facts.until, most)
    if np.isnan(expected).all():
        return None
    told = f"Of older rows, {wait.usual:.1%} got a label at last; {delay_words(wait)}."
    if wait.same >= 0.5:
        when = (
            f"exactly {wait.median:.0f} days after" if wait.median > 1 else "on the day after" if wait.median else "on the day of"
        )
        told += f" {wait.same:.0%} come {when} the event: a rule rather than a measurement."
    return figures.label_ages(expected, now, told), told


def _missing(sample: Sample) -> Markup | None:
    """Columns with missing values, most of them first."""
    shares = {name: _by_side(column.missing, sample.newest) for name, column in sample.columns.items() if column.missing.any()}
    names = sorted(shares, key=lambda name: -max(np.nan_to_num(shares[name])))[:MOST_MISSING]
    if not names:
        return None
    before, newest = (np.array([shares[name][side] for name in names]) for side in (0, 1))
    says = "Share of rows without a value: " + ", ".join(f"{name} {max(np.nan_to_num(shares[name])):.1%}" for name in names[:6])
    return figures.missing(names, before, newest, says)


def _by_side(mask: np.ndarray, newest: np.ndarray) -> tuple[float, float]:
    sides = mask[~newest], mask[newest]
    before, after = (float(side.mean()) if len(side) else float("nan") for side in sides)
    return before, after


def _texts(sample: Sample, problem: Problem) -> list[texts.Texts]:
    names = (problem.problem.positive, f"not {problem.problem.positive}")
    found = [texts.describe(column, sample.labels, names, scrub) for column in sample.columns.values() if column.kind == "text"]
    return [one for one in found if one is not None]


def _map(sample: Sample, problem: Problem) -> tuple[Markup, str] | None:
    """States or coordinates, where a column holds them."""
    known = sample.labels[~np.isnan(sample.labels)]
    overall = float(known.mean()) if len(known) else 0.0
    for column in sample.columns.values():
        found = places.states(column, sample.labels)
        if found:
            rated = sorted(found.rates.items(), key=lambda one: -one[1].rows)[:5]
            told = ", ".join(f"{code} {share_of(rate.value)} of {rate.rows:,}" for code, rate in rated)
            caption = f"{column.name}: share {problem.problem.positive} of the rows with a label; most rows: {told}."
            if found.others:
                caption += f" {found.others:,} rows lie elsewhere."
            return figures.tiles(found, overall, caption), caption
    points = places.points(sample.columns, sample.labels)
    if points:
        named, rows = " and ".join(points.columns), f"{len(points.labels):,} rows"
        caption = f"{named}: share {problem.problem.positive} by place, {rows}."
        return figures.scatter(points, caption), caption
    return None


def _links_say(found: association.Associations) -> str:
    pairs = ", ".join(f"{one} with {other} {value:.2f}" for one, other, value in found.strongest(5))
    return f"How strongly {len(found.names)} columns go together. {f'Strongest: {pairs}.' if pairs else 'No pair does.'}"
