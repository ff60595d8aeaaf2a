"""A batch against the contract, before anything of it is committed."""

from collections.abc import Collection, Iterable

import numpy as np

from ml.contract import categories, missing, numbers, texts, times
from ml.contract.evidence import MEDIAN
from ml.contract.record import Batch, Column, Contract, Difference, Found, Hypothesis
from ml.contract.swapped import swapped
from ml.profile import ColumnProfile, Profile

INVERTED, CERTAIN = 0.12, 0.2  # how near 1 - p the rate must be, and how far p from one half


def compare(contract: Contract, profile: Profile, *, ignore: Collection[str] = (), minimum_rows: int = 500) -> list[Difference]:
    """Columns of a batch that do not look as recorded, each with its explanations, the most likely first.

    Seasons, storms and slow drift are no difference: what is looked for are the traces that a change at the source leaves.
    A batch is compared as a whole and by its newest days alone, so that a change that began last night does not drown.

    Args:
        ignore: columns that are not compared.
        minimum_rows: with fewer rows nothing is said, nor while the contract rests on less than a week of days.
    """
    if contract.young:
        return []
    found: dict[str, Difference] = {}
    parts = [(part, whole) for part, whole in _parts(contract, profile) if part.num_rows >= minimum_rows]
    with np.errstate(over="ignore", invalid="ignore"):  # of the largest doubles there may be no difference and no product
        differences = [difference for part, whole in parts for difference in _compare(contract, part, whole, ignore)]
    for difference in differences:
        known = found.get(difference.column)
        if known is None or known.hypotheses[0].score < difference.hypotheses[0].score:
            found[difference.column] = difference
    return [found[name] for name in profile.columns if name in found]


def _parts(contract: Contract, profile: Profile) -> Iterable[tuple[Profile, bool]]:
    if isinstance(profile, Batch) and profile.recent is not None:
        yield profile.recent, False
    first = profile.first_day if isinstance(profile, Batch) else None
    settled = {n for n, c in contract.columns.items() if c.since is None or first is None or first >= c.since}
    columns = {name: column for name, column in profile.columns.items() if name in settled}
    yield Profile(num_rows=profile.num_rows, columns=columns), True


def _compare(contract: Contract, part: Profile, whole: bool, ignore: Collection[str]) -> list[Difference]:
    recorded = {
        name: column.profile
        for name, column in contract.columns.items()
        if column.profile is not None
        and name not in ignore
        and name in part.columns
        and part.columns[name].kind == column.profile.kind
        and column.profile.num_rows
    }
    twins = swapped(recorded, part.columns)
    moments = _times(contract, recorded, part)
    differences = []
    for name, before in recorded.items():
        column, now = contract.columns[name], part.columns[name]
        found: Found = [("swapped", twins[name])] if name in twins else []
        found += [("time", hypothesis) for hypothesis in moments.get(name, [])]
        found += _explain(name, column, before, now, contract, whole)
        if found:
            differences.append(_difference(name, before, now, found))
    return differences


def _explain(name: str, column: Column, before: ColumnProfile, now: ColumnProfile, contract: Contract, whole: bool) -> Found:
    """All explanations for one column."""
    found: Found = []
    if name not in contract.late:  # the newest labels are not known yet: that is no failure
        found += [("nulls", one) for one in missing.more_nulls(name, before, now)]
        if now.kind in ("number", "category"):
            found += [("constant", one) for one in missing.constant(name, before, now)]
    found += [("nulls", one) for one in missing.coded(name, before, now)]
    if now.kind == "number":
        found += numbers.explain(name, column.unit, before, now)
    elif now.kind == "category":
        found += [("values", one) for one in categories.respelled(name, before, now)]
        if whole:  # in the newest days some rows come late
            found += [("values", one) for one in categories.lost(name, before, now)]
    elif now.kind == "text":
        found += [("text", one) for one in texts.explain(name, before, now)]
    elif now.kind == "boolean" and whole:
        found += [("label", one) for one in _inverted(name, before, now)]
    return found


def _times(contract: Contract, recorded: dict[str, ColumnProfile], part: Profile) -> dict[str, list[Hypothesis]]:
    """Explanations for all columns of moments; when the event time moved, gaps to it are not the others' fault."""
    now = {name: column for name, column in part.columns.items() if name in recorded and column.kind == "datetime"}
    event, zone = contract.event_time, contract.zone
    shifts = {name: times.clock_shift(recorded[name], column) for name, column in now.items()}
    found = {}
    for name, column in now.items():
        before = recorded[name]
        cut = [*times.epoch(name, before, column), *times.cut_off(name, before, column)]
        if not cut and event in now and name != event:
            cut = times.swapped_parts(name, now[event], before, column)
        gap = times.gap_shift(before, column)
        if cut:
            found[name] = cut
        elif shifts[name]:
            found[name] = times.shifted(name, before, column, zone)
        elif gap and not shifts.get(event):
            found[name] = times.moved_against_event(name, event, gap)
    return {name: hypotheses for name, hypotheses in found.items() if hypotheses}


def _inverted(name: str, before: ColumnProfile, now: ColumnProfile) -> list[Hypothesis]:
    """Yes and no changed places."""
    if min(before.num_present, now.num_present) < missing.PRESENT:
        return []
    p, q = (one.values.get("true", 0) / one.num_present for one in (before, now))
    if abs(p - 0.5) < CERTAIN or abs(q - (1 - p)) > INVERTED or (q > 0.5) == (p > 0.5):
        return []
    sentence = f"{name} is inverted: true in {q:.0%} of rows, {p:.0%} before, which is one minus it"
    return [
        Hypothesis(cause="inverted", sentence=sentence, score=0.9),
        Hypothesis(cause="another rate", sentence=f"{name} is really true in {q:.0%} of these rows", score=0.3),
    ]


def _difference(name: str, before: ColumnProfile, now: ColumnProfile, found: Found) -> Difference:
    ranked = sorted(found, key=lambda one: -one[1].score)
    unique = {hypothesis.sentence: hypothesis for _, hypothesis in ranked}
    return Difference(column=name, kind=ranked[0][0], what=_facts(before, now), hypotheses=tuple(unique.values())[:4])


def _facts(before: ColumnProfile, now: ColumnProfile) -> str:
    """Both states in a few words."""
    return f"recorded: {summary(before)}; now: {summary(now)}"


def summary(profile: ColumnProfile) -> str:
    """A column in a few words."""
    parts = []
    if profile.null_share:
        parts.append(f"{profile.null_share:.1%} missing")
    if profile.quantiles:
        low, middle, high = profile.quantiles[0], profile.quantiles[MEDIAN], profile.quantiles[-1]
        parts.append(f"{low:.6g} to {high:.6g}, median {middle:.6g}")
    elif profile.kind in ("category", "boolean"):
        shares = [f"{value!r} {count / max(profile.num_present, 1):.0%}" for value, count in list(profile.values.items())[:3]]
        parts.append(f"{profile.distinct:,} values: {', '.join(shares)}")
    elif profile.first and profile.last:
        parts.append(f"{profile.first:%Y-%m-%d %H:%M} to {profile.last:%Y-%m-%d %H:%M} UTC{_busiest(profile)}")
    elif profile.lengths:
        form = next(iter(profile.shapes), "")
        parts.append(f"{profile.lengths[0]:.0f} to {profile.lengths[-1]:.0f} characters{f', such as {form!r}' if form else ''}")
    return ", ".join(parts) or "no values"


def _busiest(profile: ColumnProfile) -> str:
    total = sum(profile.hours)
    if not total:
        return ""
    filled = [hour for hour, count in enumerate(profile.hours) if count >= 0.002 * total]
    return f", hours {filled[0]} to {filled[-1]}"
