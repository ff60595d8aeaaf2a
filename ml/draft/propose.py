"""From what was seen to rules. A rule is critical where history leaves little doubt, else a warning."""

import decimal
import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ml.draft import patterns
from ml.draft.seen import Column, Seen
from ml.problem import Problem

Rule = dict[str, Any]
FEW = 5  # values of a set so small that another one is an error rather than news
CLOSED = 30  # values of a set that is listed at all
OFTEN = 100  # rows per value before a set counts as complete
STEADY_DAYS = 28  # days without exception before "never" is critical
DAY_ROWS = 30  # rows of a day whose shares and means say something
ODD = 12  # standard deviations above the mean: an error, or rain, which comes in rare great amounts
TAIL = 10  # times the spread that such a column is given
ROUND = 2  # digits that a limit keeps


def propose(problem: Problem, seen: Seen) -> dict[str, Any]:
    """A suite as Great Expectations and `ml.validate.suite` read it.

    It holds on the history it was made from. Limits leave room: to numbers as much as their whole spread again.
    """
    span = f"{min(seen.rows_by_day)} to {max(seen.rows_by_day)}"
    said = f"in {seen.num_rows:,} rows of {span}"
    rules = [*_table(problem, seen, said), *_key(problem, seen, said)]
    for name, column in seen.columns.items():
        if name != problem.source.key:
            rules += _column(problem, name, column, said)
    return {"name": f"{problem.name}.raw", "expectations": [*rules, *_pairs(problem, seen)]}


def written(content: dict[str, Any]) -> str:
    """A suite as people edit it: three lines a rule."""
    rules = [
        f'    {{"type": {json.dumps(rule["type"])},\n     "kwargs": {json.dumps(rule["kwargs"], ensure_ascii=False)}, '
        f'"severity": {json.dumps(rule["severity"])},\n     "meta": {json.dumps(rule["meta"], ensure_ascii=False)}}}'
        for rule in content["expectations"]
    ]
    return f'{{\n  "name": {json.dumps(content["name"])},\n  "expectations": [\n' + ",\n".join(rules) + "\n  ]\n}\n"


def _rule(kind: str, kwargs: Mapping[str, Any], severity: str, why: str) -> Rule:
    return {"type": f"expect_{kind}", "kwargs": dict(kwargs), "severity": severity, "meta": {"why": why}}


def _table(problem: Problem, seen: Seen, said: str) -> Iterator[Rule]:
    counts = seen.rows_by_day
    quietest = min(counts, key=lambda day: counts[day])
    yield _rule("table_row_count_to_be_between", {"min_value": 1}, "critical", "a batch without rows is a feed that stopped")
    if (least := counts[quietest] // 2) > 1:
        why = f"{said} the quietest day, {quietest}, had {counts[quietest]:,} rows; under half is a feed that stopped"
        yield _rule("table_row_count_to_be_between", {"min_value": least}, "warning", why)


def _key(problem: Problem, seen: Seen, said: str) -> Iterator[Rule]:
    name = problem.source.key
    column = seen.columns[name]
    if not column.num_null:
        why = f"{said} every row had a key; without one a row can be neither corrected nor traced"
        yield _rule("column_values_to_not_be_null", {"column": name}, "critical", why)
    if seen.key_is_unique:
        why = f"{said} no two rows had one key; two would stand in two parts of a split"
        yield _rule("column_values_to_be_unique", {"column": name}, "critical", why)
    yield from _form(name, column, said)


def _column(problem: Problem, name: str, column: Column, said: str) -> Iterator[Rule]:
    source = problem.source
    if column.num_null == column.num_rows:
        return
    if name not in (*source.labels, source.label_time):  # these are known later, so any share of them may be missing
        yield from _missing(name, column, said, always=name in (source.event_time, source.available_at))
    if column.kind in ("category", "boolean", "zip"):
        yield from _values(name, column, said, is_label=name in source.labels)
    elif column.kind == "number":
        unit = problem.features[name].unit if name in problem.features else ""
        yield from _range(name, column, said, f", in {unit}" if unit else "")
    elif column.kind == "text":
        why = f"{said} the longest text had {column.lengths[1]:,} characters; ten times as many is another field or a whole file"
        limits = {"column": name, "max_value": int(_outward(10 * column.lengths[1], up=True))}
        yield _rule("column_value_lengths_to_be_between", limits, "critical", why)


def _missing(name: str, column: Column, said: str, *, always: bool) -> Iterator[Rule]:
    if not column.num_null:
        sure = always or len(column.days) >= STEADY_DAYS
        why = f"{said} no value was missing"
        yield _rule("column_values_to_not_be_null", {"column": name}, "critical" if sure else "warning", why)
        return
    shares = [day.num_null / day.num_rows for day in column.days.values() if day.num_rows >= DAY_ROWS]
    if not shares:
        return
    allowed = max(shares) + max(0.1, max(shares) - min(shares))
    if allowed < 0.95:
        why = f"{said} {min(shares):.1%} to {max(shares):.1%} of a day's values were missing; far more is a join that broke"
        limits = {"column": name, "min_value": math.floor(100 * (1 - allowed)) / 100}
        yield _rule("column_proportion_of_non_null_values_to_be_between", limits, "warning", why)


def _values(name: str, column: Column, said: str, *, is_label: bool) -> Iterator[Rule]:
    counts = column.counts
    if counts and len(counts) <= CLOSED and min(counts.values()) >= (1 if is_label else OFTEN):
        known: list[Any] = sorted(counts)
        if column.kind == "boolean":
            known = [value == "true" for value in known]
        sure = is_label or len(counts) <= FEW
        why = f"{said} only {'these' if len(known) > 1 else 'this'} occurred, the rarest {min(counts.values()):,} times"
        yield _rule("column_values_to_be_in_set", {"column": name, "value_set": known}, "critical" if sure else "warning", why)
        if not is_label and column.kind != "boolean" and len(counts) <= 2 * FEW and _every_day(column):
            why = f"{said} every day had all of them; a missing one is a feed that stopped"
            yield _rule("column_distinct_values_to_contain_set", {"column": name, "value_set": known}, "warning", why)
    if not is_label and column.kind != "boolean" and not (counts and len(counts) <= FEW):
        yield from _form(name, column, said)


def _every_day(column: Column) -> bool:
    days = [day for day in column.days.values() if day.num_rows >= DAY_ROWS]
    return len(days) >= 7 and all(set(column.counts or ()) == day.values for day in days)


def _form(name: str, column: Column, said: str) -> Iterator[Rule]:
    """Codes have a form; words, with blanks between them or of any length, have none."""
    spread = column.lengths[1] - column.lengths[0]
    words = column.kind != "key" and (spread > 4 or any(" " in form for form in column.forms or ()))
    found = None if words else patterns.regex(column.forms or ())
    if found:
        many = len(column.counts) if column.counts is not None else column.num_rows - column.num_null
        why = f"{said} all {many:,} different values had this form; another one comes from another system"
        sure = "critical" if many >= 10 else "warning"
        yield _rule("column_values_to_match_regex", {"column": name, "regex": found}, sure, why)


def _range(name: str, column: Column, said: str, unit: str) -> Iterator[Rule]:
    """Values as far outside as the whole spread: a wrong sign, unit or field. Means of days: a unit that changed for all."""
    low, high = column.low, column.high
    spread = (high - low) or abs(high) or 1.0
    odd = bool(column.std) and high - column.mean > ODD * column.std
    limits = {
        "min_value": _lower(low, spread),
        "max_value": 1.0 if low >= 0 and 0.9 <= high <= 1 else _outward(high + spread * (TAIL if odd else 1), up=True),
    }
    why = f"{said} values lay between {low:.6g} and {high:.6g}{unit}; far outside is a wrong sign, unit or field"
    if odd:
        far = (high - column.mean) / column.std
        why += f". CHECK: {high:.6g} is {far:,.0f} standard deviations above the mean, maybe an error"
    yield _rule("column_values_to_be_between", {"column": name, **limits}, "critical", why)
    full = [day for day in column.days.values() if day.num_rows >= DAY_ROWS]
    means = [day.total / day.present for day in full if day.present >= max(DAY_ROWS, day.num_rows // 2)]
    if len(means) < max(7, len(full)):  # on a day without values a mean is none, and the rule would break
        return
    steady = float(np.std(means)) < 0.05 * abs(column.mean) and len(means) >= 14
    room = max(max(means) - min(means), 0.25 * abs(column.mean) if steady else 0.0)
    least, most = _outward(min(means) - room, up=False), _outward(max(means) + room, up=True)
    if least > limits["min_value"] or most < limits["max_value"]:
        between = f"{min(means):,.4g} and {max(means):,.4g}{unit}"
        why = f"{said} the mean of a day lay between {between}; far outside, the unit or the rows changed"
        limits = {"min_value": max(least, limits["min_value"]), "max_value": min(most, limits["max_value"])}
        yield _rule("column_mean_to_be_between", {"column": name, **limits}, "critical" if steady else "warning", why)


def _pairs(problem: Problem, seen: Seen) -> Iterator[Rule]:
    """Moments that always come in one order; an order that follows from two others is left out."""
    later = {}
    for (one, two), pair in seen.pairs.items():
        if pair.num_both >= OFTEN and pair.num_later + pair.num_equal in (pair.num_both, pair.num_equal):
            first, second = (one, two) if pair.num_later else (two, one)
            if pair.num_equal < pair.num_both:
                later[first, second] = pair
    for (first, second), pair in later.items():
        if any((first, other) in later and (other, second) in later for other in seen.columns):
            continue
        known = {problem.source.event_time, problem.source.label_time, problem.source.available_at}
        kwargs = {"column_A": first, "column_B": second, "ignore_row_if": "either_value_is_missing"}
        equal = ", or at the same moment," if pair.num_equal else ""
        order = f"{first} came after{equal} {second}"
        why = f"in all {pair.num_both:,} rows that have both, {order}; another order is a clock error or knowledge from later"
        sure = "critical" if {first, second} <= known else "warning"
        yield _rule(
            "column_pair_values_a_to_be_greater_than_b", kwargs | ({"or_equal": True} if pair.num_equal else {}), sure, why
        )


def _lower(low: float, spread: float) -> float:
    """0 where nothing was negative and 0 is not far; else as much lower as the values are spread."""
    return 0.0 if 0 <= low <= spread else _outward(low - spread, up=False)


def _outward(value: float, *, up: bool) -> float:
    """A limit with few digits, never inside the exact one; 0.001 stays 0.001, though its float lies a little above."""
    rounding = decimal.ROUND_CEILING if up else decimal.ROUND_FLOOR
    return float(decimal.Context(prec=ROUND, rounding=rounding).create_decimal(repr(float(value))))
