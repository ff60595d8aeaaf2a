"""The record of what people decided about quarantined rows: rows are added to it, none is ever changed.

A decision names a row by a digest of its content. So it holds when a later night sets the same row aside again, and no longer
when the row has changed at the source.
"""

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa

from ml.context import Context
from ml.quarantine.held import ORDER, RUN, Choice, Held, held
from ml.tables import DAY, append

MOMENT = pa.timestamp("us", "UTC")
FIELDS = {
    "_digest": pa.string(),
    "_decision": pa.string(),
    "_outcome": pa.string(),
    "_rules": pa.list_(pa.string()),
    "_why": pa.string(),
    "_who": pa.string(),
    "_at": MOMENT,
    "_id": pa.string(),
    ORDER: pa.int64(),
}


@dataclass(frozen=True)
class Asked:
    """Who decides what, and why."""

    decision: Literal["release", "discard"]
    who: str
    why: str = ""


@dataclass(frozen=True)
class Outcome:
    """What came of a decision for one row of those it was about."""

    day: str
    key: str
    row: str
    outcome: Literal["released", "still bad", "discarded", "gone from the source"]
    rules: tuple[str, ...]


def discard(context: Context, choice: Choice, asked: Asked) -> list[Outcome]:
    """Say that open rows are rightly bad. They stay in the quarantine and are no longer shown as open.

    Raises: DataError: there is no quarantine yet.
    """
    found = held(context, choice.window)
    chosen = found.only(found.chosen(choice))
    outcomes: list[Literal["discarded"]] = ["discarded"] * chosen.rows.num_rows
    return note(context, chosen, outcomes, chosen.rules, asked)


def note(context: Context, rows: Held, outcomes: Sequence[Any], rules: Sequence[Sequence[str]], asked: Asked) -> list[Outcome]:
    """Write down what was decided about each row; what the newest decision about a row says already is not written twice."""
    runs = rows.rows[RUN].to_pylist()
    ids = [
        _id(asked, outcome, broken, name, run)
        for outcome, broken, name, run in zip(outcomes, rules, rows.names, runs, strict=True)
    ]
    new = [rows.decided.get(name, {}).get("_id") != one for name, one in zip(rows.names, ids, strict=True)]
    if any(new):
        content = _as_table(context, rows, [list(one) for one in (outcomes, rules, ids)], asked)
        append(
            context.table("decisions"), content.filter(pa.array(new)), {"by": f"quarantine {asked.decision}", "who": asked.who}
        )
    told = zip(rows.days, rows.keys, rows.names, outcomes, map(tuple, rules), strict=True)
    return [Outcome(*one) for one in told]


def _as_table(context: Context, rows: Held, told: list[list[Any]], asked: Asked) -> pa.Table:
    """One line per row, with the columns that name it and its person, so that an erasure finds them here too."""
    outcomes, rules, ids = told
    many = rows.rows.num_rows
    subject = context.problem.privacy.subject
    own = dict.fromkeys([DAY, rows.key, *([subject] if subject in rows.rows.column_names else [])])
    values = {
        "_digest": list(rows.names),
        "_decision": [asked.decision] * many,
        "_outcome": outcomes,
        "_rules": [list(one) for one in rules],
        "_why": [asked.why] * many,
        "_who": [asked.who] * many,
        "_at": [context.settings.now()] * many,
        "_id": ids,
        ORDER: [time.time_ns()] * many,  # a replayed clock stands still
    }
    return pa.table({name: rows.rows[name] for name in own} | {name: pa.array(values[name], FIELDS[name]) for name in FIELDS})


def _id(asked: Asked, outcome: str, rules: Sequence[str], name: str, run: str) -> str:
    """Equal for a decision that is repeated about the same row of the same run, because it was killed before its end."""
    about = [asked.decision, asked.why, outcome, list(rules), name, run]
    return hashlib.sha256(json.dumps(about).encode()).hexdigest()[:16]
