"""One card a column: what it holds in the newest days beside those before, and how the label depends on it."""

from collections.abc import Sequence, Set
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from markupsafe import Markup

from ml.pages.drawing import clipped
from ml.pages.render import share as share_of
from ml.understand import figures
from ml.understand.columns import Cells, Column, Floats, cells, number_cells, numbers
from ml.understand.rates import Rates, by_cell
from ml.understand.sample import Sample

MOST = 40  # columns with charts; the others have a line in a table
VALUES, STEPS = 10, 8  # values of a category and steps of a number that are shown
FEWEST = 20  # labels of a cell below which its rate is not shown


@dataclass(frozen=True)
class Card:
    """A column's charts and what they say."""

    name: str
    kind: str
    declared: bool
    facts: str
    share: Markup | None
    rate: Markup | None


def cards(sample: Sample, positive: str, suspects: Set[str]) -> list[Card]:
    """The charts of at most MOST columns: those with a finding first when there are more."""
    return [_card(sample.columns[name], sample, positive) for name in _chosen(sample, suspects)]


def rest(sample: Sample) -> list[tuple[str, str]]:
    """Columns without charts of their own, each with its facts."""
    names = list(sample.columns)
    return [(name, facts(sample.columns[name], sample.newest)) for name in names] if len(names) > MOST else []


def facts(column: Column, newest: np.ndarray) -> str:
    """The column in a line: values, quartiles, missing ones."""
    missing = column.missing
    parts = [_missing(missing, newest)]
    held = column.values.filter(pa.array(~missing))
    if len(held) == 0:
        return "no value at all"
    if column.kind in ("number", "text"):
        low, middle, high = np.quantile(numbers(column)[~missing], [0.05, 0.5, 0.95], method="inverted_cdf")
        unit = {"text": " words"}.get(column.kind, f" {column.unit}" if column.unit else "")
        parts.insert(0, f"median {_plain(middle)}{unit}, nine in ten from {_plain(low)} to {_plain(high)}")
    elif column.kind == "datetime":
        parts.insert(0, "by the hour of the day")
    else:
        parts.insert(0, f"{pc.count_distinct(held).as_py():,} values")
    return "; ".join(parts)


def _chosen(sample: Sample, suspects: Set[str]) -> list[str]:
    names = list(sample.columns)
    if len(names) <= MOST:
        return names
    return sorted(names, key=lambda name: (name not in suspects, not sample.columns[name].declared, names.index(name)))[:MOST]


def _card(column: Column, sample: Sample, positive: str) -> Card:
    told = facts(column, sample.newest)
    kind = f"{column.kind}, {column.unit}" if column.unit else column.kind
    if column.missing.all():
        return Card(column.name, kind, column.declared, told, None, None)
    stepped = column.kind in ("number", "text", "datetime")
    shown = number_cells(numbers(column), STEPS) if stepped else cells(column, VALUES)
    share = (
        figures.distribution(column, sample.newest, f"{column.name}: {told}")
        if stepped
        else _values(column.name, shown, sample.newest)
    )
    return Card(column.name, kind, column.declared, told, share, _rate(column.name, shown, sample.labels, positive))


def _values(name: str, found: Cells, newest: np.ndarray) -> Markup:
    """Shares among the rows that have a value; missing ones have a chart of their own."""
    names = found.names[:-1]
    before, after = (_shares(found, rows) for rows in (~newest, newest))
    told = _told(names, np.fmax(before, after).tolist())
    return figures.values(names, before, after, f"{name}, share of its values: {told}")


def _shares(found: Cells, rows: np.ndarray) -> Floats:
    held = found.codes[rows & (found.codes < len(found.names) - 1)]
    if len(held) == 0:
        return np.full(len(found.names) - 1, np.nan)
    return np.asarray(np.bincount(held, minlength=len(found.names) - 1) / len(held), np.float64)


def _rate(name: str, found: Cells, labels: Floats, positive: str) -> Markup | None:
    """Rate per cell, of cells with enough labels."""
    rates = by_cell(found.names, found.codes, labels)
    kept = [place for place, rate in enumerate(rates.rates) if rate.rows >= FEWEST]
    if not kept:
        return None
    chosen = Rates(tuple(rates.names[place] for place in kept), tuple(rates.rates[place] for place in kept))
    known = labels[~np.isnan(labels)]
    says = f"Share {positive} by {name}: {_told(chosen.names, [rate.value for rate in chosen.rates])}"
    return figures.rates(chosen.names, chosen.rates, float(known.mean()), says, positive=positive)


def _told(names: Sequence[str], shares: Sequence[float | None]) -> str:
    """Names with their shares, for those who cannot see the chart."""
    return ", ".join(f"{clipped(name)} {share_of(share)}" for name, share in zip(names, shares, strict=True))


def _missing(missing: np.ndarray, newest: np.ndarray) -> str:
    if not missing.any():
        return "none missing"
    before, after = missing[~newest], missing[newest]
    told = f"missing in {after.mean():.1%} of the newest rows" if len(after) else ""
    return f"{told}, {before.mean():.1%} before" if len(before) else told


def _plain(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.4g}"
