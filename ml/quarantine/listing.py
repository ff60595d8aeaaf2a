"""What a person is shown of the quarantine: counts by day and rule, rows, and the story of a row."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ml.context import Context
from ml.quarantine.held import RULES, RUN, Held, past
from ml.tables import DAY


def summary(found: Held, num_rows: dict[str, int], event_time: str) -> list[dict[str, Any]]:
    """One line per day and rule, newest day first and the rule that most rows broke on top.

    Args:
        num_rows: rows that were ingested, per day; `share` is a part of them.
    """
    pairs: dict[tuple[str, str], list[int]] = {}
    for place, (day, rules) in enumerate(zip(found.days, found.rules, strict=True)):
        for rule in rules:
            pairs.setdefault((day, rule), []).append(place)
    order = sorted(pairs.items(), key=lambda pair: (pair[0][0], len(pair[1])), reverse=True)
    return [_line(found, day, rule, places, num_rows.get(day), event_time) for (day, rule), places in order]


def _line(found: Held, day: str, rule: str, places: list[int], whole: int | None, event_time: str) -> dict[str, Any]:
    moments = pc.min_max(found.rows[event_time].take(pa.array(places))).as_py() if event_time in found.rows.column_names else {}
    discarded = sum(found.states[place] == "discarded" for place in places)
    return {
        "day": day,
        "rule": rule,
        "rows": len(places),
        "share": len(places) / whole if whole else None,
        "first": moments.get("min"),
        "last": moments.get("max"),
        "open": len(places) - discarded,
        "discarded": discarded,
    }


def lines(found: Held) -> list[dict[str, Any]]:
    """One line per row, newest day first."""
    columns = (found.days, found.keys, found.names, found.states, found.rules, found.rows[RUN].to_pylist())
    told = [dict(zip(("day", "key", "row", "state", "rules", "run"), one, strict=True)) for one in zip(*columns, strict=True)]
    return sorted(told, key=lambda one: (one["day"], one["key"]), reverse=True)


def stories(context: Context, found: Held, whys: dict[str, str]) -> list[dict[str, Any]]:
    """Rows in full: the values as stored, every rule they broke and why it stands, and what was decided so far.

    Decisions about earlier versions of a row, of the same key, belong to its story.
    """
    made = past(context)
    decisions = made.to_pylist() if made is not None else []
    values = found.rows.drop_columns([RULES, RUN, DAY]).to_pylist()
    told = []
    for one, content in zip(_in_order(found), values, strict=True):
        own = [each for each in decisions if str(each[found.key]) == one["key"]]
        rules = [{"rule": rule, "why": whys.get(rule, "")} for rule in one["rules"]]
        told.append(one | {"rules": rules, "values": content, "history": [_told(each, one["row"]) for each in own]})
    return told


def _in_order(found: Held) -> list[dict[str, Any]]:
    places = {name: place for place, name in enumerate(found.names)}
    return sorted(lines(found), key=lambda one: places[one["row"]])


def _told(decision: dict[str, Any], row: str) -> dict[str, Any]:
    named = {name: decision[f"_{name}"] for name in ("at", "who", "decision", "outcome", "why", "rules")}
    return named | {"about": "this row" if decision["_digest"] == row else f"its version {decision['_digest']}"}


def whys_of(context: Context, found: Held) -> dict[str, str]:
    """Why each rule stands, as the runs that set the rows aside recorded it."""
    told: dict[str, str] = {}
    for run in np.unique(found.rows[RUN].to_pylist()).tolist():
        name = context.of_run(run).name("validation.json")
        if run and context.store.exists(name):
            content = context.store.read_json(name)
            told |= {rule["rule"]: rule["why"] for rule in (content["rules"] if isinstance(content, dict) else content)}
    return told
