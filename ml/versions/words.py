"""A diff told to a person, the most important first."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from ml.versions.compare import Diff
from ml.versions.rows import ColumnChange
from ml.window import spans

LONGEST = 60  # characters of a value
PAIRS = 3  # most frequent changes of a column that are named


def sentences(diff: Diff) -> list[str]:
    """The whole diff, a line each."""
    return [f"{diff.before} to {diff.after}", *_days(diff), *columns(diff), *_values(diff), *_distributions(diff)]


def summary(diff: Diff) -> str:
    """Rows in one sentence."""
    rows = diff.rows
    if diff.same:
        return "Both hold the same rows."
    told = ((rows.added, "added"), (rows.removed, "removed"), (rows.changed, "changed"), (rows.same, "as before"))
    return ", ".join(f"{count:,} {what}" for count, what in told) + " on the days that differ."


def columns(diff: Diff) -> Iterator[str]:
    """Columns that came, went or changed their type."""
    changed = diff.columns
    for what, names in (("new", changed.added), ("gone", changed.removed)):
        if names:
            yield f"Columns {what}: {', '.join(names)}."
    for name, (old, new) in changed.retyped.items():
        yield f"Column {name} was {old} and is {new}; its values are not compared."


def change(found: ColumnChange) -> str:
    """What the values of a column became: the most frequent changes, or examples."""
    if found.pairs and found.num_rows > len(found.pairs):
        common = sorted(found.pairs.items(), key=lambda item: -item[1])[:PAIRS]
        more = len(found.pairs) - len(common)
        told = ", ".join(f"{value(old)} became {value(new)} in {count:,}" for (old, new), count in common)
        return told + (f", and {more} other changes" if more else "")
    return ", ".join(f"{value(one.old)} became {value(one.new)} (key {value(one.key)})" for one in found.examples)


def value(held: Any) -> str:
    """One value as a person writes it."""
    if held is None:
        return "missing"
    if isinstance(held, bool):
        return str(held).lower()  # as the other pages write it
    if isinstance(held, datetime):
        return held.isoformat(sep=" ", timespec="minutes")
    text = f"{held:.10g}" if isinstance(held, float) else str(held)
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def _days(diff: Diff) -> Iterator[str]:
    differing = [day for day, rows in diff.days.items() if rows.added or rows.removed or rows.changed]
    yield f"Days: {len(differing)} of {diff.num_days} differ" + (f", {spans(differing)}." if differing else ".")
    yield f"Rows: {summary(diff)}"


def _values(diff: Diff) -> Iterator[str]:
    """Changed cells, the column with the most first."""
    for name, found in sorted(diff.rows.columns.items(), key=lambda item: -item[1].num_rows):
        yield f"  {name} changed in {found.num_rows:,} rows: {change(found)}"


def _distributions(diff: Diff) -> Iterator[str]:
    if not diff.moved:
        return
    moved = [one for one in diff.moved if one.moved]
    yield f"Distributions, {diff.compared}: {len(moved)} of {len(diff.moved)} columns moved."
    for one in moved:
        yield f"  {one.column}: {one.size} shift ({one.distance:.2f} of 1); {one.sentence}"
