"""The table `labels`: what people and programs said, one row for each time, and none is ever changed.

Which of several labels of a key counts is decided when they are read: what a person says before what a program says, and of
each the newest. A label stands in the partition of the day on which it became known.
"""

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ml import privacy
from ml.context import Context
from ml.problem import Origin
from ml.tables import DAY, append
from ml.window import Window, local_day

PEOPLE: tuple[Origin, ...] = ("labelling", "feedback")
ORIGINS: tuple[Origin, ...] = get_args(Origin)
MOMENT = pa.timestamp("us", "UTC")
SCHEMA = pa.schema(
    [
        ("_key", pa.string()),
        ("_label", pa.string()),  # JSON
        ("_source", pa.string()),
        ("_labeller", pa.string()),
        ("_at", MOMENT),
        ("_request_id", pa.string()),
        ("_position", pa.int32()),
        ("_id", pa.string()),
        ("_order", pa.int64()),
        (DAY, pa.string()),
    ]
)


@dataclass(frozen=True)
class Label:
    """What somebody said about a key, or about an answered row without one.

    `label` is JSON, see `targets.checked`. `at` is when it became known to us; what comes with the `id` of another label is
    the same label. `order` decides between labels of one moment: a replayed clock stands still.
    """

    key: str | None
    label: Any
    source: Origin
    labeller: str
    at: datetime
    request_id: str | None = None
    position: int = 0
    id: str = ""
    order: int = field(default_factory=time.time_ns)

    @property
    def name(self) -> str:
        """The id, or one made of all that is said."""
        said = [self.key, self.label, self.source, self.labeller, self.at.isoformat(), self.request_id, self.position]
        return self.id or hashlib.sha256(json.dumps(said).encode()).hexdigest()[:32]


def add(context: Context, labels: Sequence[Label], *, by: str) -> int:
    """Write labels down, each once; those of erased people are left out.

    Args:
        by: who writes, for the table's history.
    Returns: how many were new.
    Raises: TransientError: others write without end, or somebody was erased meanwhile.
    """
    forgotten = privacy.forgotten(context.problem, context.store)
    named = forgotten.column == context.problem.source.key
    kept = [one for one in labels if one.key is None or not (named and forgotten.holds(one.key))]
    rows = _as_table(kept, context.problem.source.timezone)
    privacy.refuse_if_more(forgotten, context.problem, context.store)
    return append(context.table("labels"), rows, {"by": by}, once="_id")


def read(context: Context, start: date | None = None, *, version: int | None = None) -> pa.Table:
    """All labels given on a day from `start` on, see SCHEMA; none before the first was given."""
    table = context.table("labels")
    days = table.days()
    if not days or (start and days[-1] < start):
        return SCHEMA.empty_table()
    window = Window(start or days[0], days[-1] + timedelta(days=1))
    return table.read(window, version=version).select(SCHEMA.names).cast(SCHEMA)


def names(rows: pa.Table) -> pa.Array:
    """What labels of answered rows are looked up by: the key, or request and place of a row that was asked about without one.

    Args:
        rows: with `key`, `request_id` and `position`.
    """
    return pc.coalesce(rows["key"], _places(rows["request_id"], rows["position"]))


def by_place(labels: pa.Table) -> pa.Table:
    """Labels that name an answered row, as labels of that row: `_key` is as `names` calls a row without a key."""
    about = labels.filter(pc.is_valid(labels["_request_id"]))
    return about.set_column(about.column_names.index("_key"), "_key", _places(about["_request_id"], about["_position"]))


def _places(requests: pa.ChunkedArray, positions: pa.ChunkedArray) -> pa.ChunkedArray:
    """No key is like this: no text that the service takes holds a NUL."""
    return pc.binary_join_element_wise("", requests, pc.cast(positions, pa.string()), "\0")


def winning(context: Context, labels: pa.Table, moment: datetime) -> pa.Table:
    """The labels that count at a moment, one per key, in the order in which they became known."""
    counts = pa.array(context.problem.feedback.learn_from, pa.string())
    known = pc.and_(pc.less_equal(labels["_at"], pa.scalar(moment, MOMENT)), pc.is_in(labels["_source"], value_set=counts))
    held = labels.filter(pc.and_(known, pc.is_valid(labels["_key"])))
    held = held.append_column("_person", pc.is_in(held["_source"], value_set=pa.array(PEOPLE)))
    ordered = held.sort_by([(name, "ascending") for name in ("_person", "_at", "_order", "_id")])
    last = ordered.append_column("_place", pa.array(np.arange(ordered.num_rows))).group_by("_key").aggregate([("_place", "max")])
    return ordered.take(last["_place_max"]).sort_by([("_at", "ascending"), ("_order", "ascending"), ("_id", "ascending")])


def _as_table(labels: Sequence[Label], zone: str) -> pa.Table:
    rows = [
        (one.key, json.dumps(one.label), one.source, one.labeller, one.at, one.request_id, one.position, one.name, one.order)
        for one in labels
    ]
    days = [str(local_day(one.at, zone)) for one in labels]
    columns = [*(zip(*rows, strict=True) if rows else [()] * (len(SCHEMA) - 1)), days]
    return pa.table([pa.array(list(values), kind.type) for values, kind in zip(columns, SCHEMA, strict=True)], schema=SCHEMA)
