"""The validation report of a run: what came, what was let through, which rules broke and why they stand. Pure."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ml.pages.render import number, render, share
from ml.problem import Problem

PAGE = "validation.html"
LONGEST = 80  # characters of a value that are shown
SHOWN_DAYS = 40
UNKNOWN: dict[str, Any] = {
    "num_ingested": None,
    "num_valid": None,
    "num_quarantined": None,
    "days": {},
    "examples": [],
}  # when a rule crashed
WIDTH, HEIGHT = 260, 56  # of a chart, in CSS pixels
Content = Mapping[str, Any]


def page(content: Content, problem: Problem, *, values: bool = True) -> str:
    """The whole page from a run's `validation.json`.

    Args:
        values: False leaves out everything that stands in single rows, for places where an erasure does not reach.
    """
    content = UNKNOWN | dict(content)
    rules = content["rules"] if values else [_without_values(rule) for rule in content["rules"]]
    broken = [rule for rule in rules if rule["assessable"] and not rule["holds"]]
    groups = (
        ("Broken, critical", [_rule(rule) for rule in broken if rule["severity"] == "critical"]),
        ("Broken, warnings", [_rule(rule) for rule in broken if rule["severity"] == "warning"]),
    )
    return render(
        "validation",
        about=problem.problem,
        content=content,
        verdict=verdict(content, problem.problem.rows),
        groups=[(title, found) for title, found in groups if found],
        open_rules=[rule for rule in rules if not rule["assessable"]],
        kept=[rule for rule in rules if rule["assessable"] and rule["holds"]],
        kept_charts=[
            chart(one) for rule in rules if rule["assessable"] and rule["holds"] for one in rule["trailing"][:2] if one["days"]
        ],
        days=_days(content["days"]),
        rows=_rows(content["examples"] if values else [], problem.source.key),
        values=values,
        command=_command(content, problem.name),
    )


def verdict(content: Content, rows: str) -> tuple[str, str]:
    """good, warn or bad, and the sentence that people read first."""
    num, valid, aside = (content[f"num_{name}"] or 0 for name in ("ingested", "valid", "quarantined"))
    warnings = sum(rule["severity"] == "warning" and rule["assessable"] and not rule["holds"] for rule in content["rules"])
    stands = f" {warnings} warning{'s stand' if warnings > 1 else ' stands'}." if warnings else ""
    if content["refused"]:
        return "bad", f"Not let through: none of the {f'{num:,} ' if num else ''}{rows} went further.{stands}"
    if aside:
        told = f"{valid:,} of {num:,} {rows} were let through; {aside:,} ({share(aside / num)}) were set aside.{stands}"
        return "warn", told
    known = all(rule["assessable"] for rule in content["rules"])
    holds = " Every rule holds." if known else " Every rule that can be judged so far holds."
    return ("warn" if warnings else "good"), f"All {num:,} {rows} were let through.{stands or holds}"


def chart(one: Content) -> dict[str, Any]:
    """Bars of the trailing days with the day in question last, and the band it should lie in; sizes in CSS pixels."""
    values = [*one["values"][-SHOWN_DAYS:], one["value"]]
    limits = [limit for limit in (one["low"], one["high"]) if limit is not None and math.isfinite(limit)]
    known = [value for value in [*values, *limits] if value is not None and math.isfinite(value)]
    bottom, top = min([0.0, *known]), max([0.0, *known]) or 1.0
    span, step = (top - bottom) or 1.0, WIDTH / len(values)

    def y(value: float) -> float:
        share = (value - bottom) / span  # divided first: a span of almost nothing has no finite inverse
        return float(round(HEIGHT - 2 - share * (HEIGHT - 4), 1))

    def bar(place: int, value: float | None) -> dict[str, Any]:
        if value is None or not math.isfinite(value):
            return {"x": 0, "y": 0, "width": 0, "height": 0, "now": False}
        ends = sorted((y(value), y(0.0)))
        size = {"width": round(max(step - 2, 1), 1), "height": round(max(ends[1] - ends[0], 1), 1)}
        return {"x": round(place * step, 1), "y": ends[0], "now": place == len(values) - 1} | size

    band = [y(limit) for limit in (one["high"], one["low"]) if limit is not None and math.isfinite(limit)]
    bars = [bar(place, value) for place, value in enumerate(values)]
    return dict(one) | {"bars": bars, "limits": band, "size": (WIDTH, HEIGHT), "span": _span(one)}


def _span(one: Content) -> str:
    days = one["days"]
    return f"{days[0]} to {days[-1]}, then {one['day']}" if days else str(one["day"])


def _rule(rule: Content) -> dict[str, Any]:
    examples = [_short(value) for value in rule["examples"]]
    return dict(rule) | {"examples": examples, "charts": [chart(one) for one in rule["trailing"] if not one["holds"]]}


def _without_values(rule: Content) -> dict[str, Any]:
    return dict(rule) | {"examples": []} | ({"observed": ""} if rule["kind"] == "row" else {})


def _days(days: Mapping[str, Mapping[str, int]]) -> list[dict[str, Any]]:
    """Newest first. Of a batch that was not let through only the ingested rows are known by day."""
    return [_day(day, counts) for day, counts in sorted(days.items(), reverse=True)]


def _day(day: str, counts: Mapping[str, int]) -> dict[str, Any]:
    aside = counts.get("quarantined")
    share_aside = None if aside is None else aside / max(counts["ingested"], 1)
    return {"day": day, "valid": None, "quarantined": None, **counts, "share": share_aside}


def _rows(examples: Sequence[Content], key: str) -> dict[str, Any]:
    """A table: the key first, the rules each row broke, then its values; columns that a broken rule names are marked.

    These stand before the others: a wide table is cut off at the window's edge.
    """
    names = [name for name in (examples[0] if examples else ()) if not name.startswith("_") and name != key]
    asked = {name for row in examples for rule in row["_rules"] for name in _subjects(rule)}
    names.sort(key=lambda name: name not in asked)
    lines = [
        {
            "key": _short(row.get(key)),
            "rules": [(rule.partition("(")[0], rule) for rule in row["_rules"]],
            "values": [(_short(row.get(name)), any(name in _subjects(rule) for rule in row["_rules"])) for name in names],
        }
        for row in examples
    ]
    return {"key": key, "columns": names, "lines": lines}


def _subjects(rule: str) -> list[str]:
    """Columns that a rule's name begins with."""
    subject, colon, _ = rule.partition(": ")
    return subject.split(", ") if colon else []


def _command(content: Content, problem: str) -> str:
    """How to see every row, for the newest day that has some; a batch that was not let through has left none there."""
    days = [day for day, counts in sorted(content["days"].items()) if counts.get("quarantined")]
    return f"python -m ml quarantine show --problem {problem} --day {days[-1]}" if days and not content["refused"] else ""


def _short(value: Any) -> str:
    if isinstance(value, float) and math.isfinite(value):
        return number(value, 6)
    text = "" if value is None else str(value)
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
