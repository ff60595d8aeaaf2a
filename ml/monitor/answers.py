"""Answers of the champion whose truth is known: who counts, who is too young, and what was asked."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ml import labels, requests
from ml.context import Context
from ml.ledger import Champion
from ml.monitor import delay
from ml.monitor.delay import Bools, Floats, Waits
from ml.monitor.sample import choose, span
from ml.problem import Feature

Texts = npt.NDArray[Any]
Known = Mapping[str, tuple[datetime, Floats]]
NOBODY = Waits(np.zeros(0), np.zeros(0), np.zeros(0, str))


@dataclass(frozen=True)
class Labelled:
    """Answers whose truth is known by now, one per key: `scores` and `labels`, shapes (n,), (n, k) with several outputs."""

    scores: Floats
    labels: Floats
    num_repeated: int
    num_keyless: int
    num_waiting: int
    valid_version: int | None = None  # of the table that the labels are from
    days: Texts | None = None  # of the answers, shape (n,), as text
    num_young: int = 0  # known labels of answers that are too young to count
    keys: Texts = field(default_factory=lambda: np.zeros(0, str))
    asked: dict[str, dict[str, Any]] = field(default_factory=dict)  # what was asked by key, of a sample
    waits: Waits = NOBODY

    def only(self, mask: npt.NDArray[Any]) -> "Labelled":
        """Some of them, by mask or place; the counts stay."""
        days = None if self.days is None else self.days[mask]
        whole = self.num_repeated, self.num_keyless, self.num_waiting, self.valid_version
        keys = self.keys[mask] if len(self.keys) else self.keys
        return Labelled(self.scores[mask], self.labels[mask], *whole, days, self.num_young, keys, self.asked, self.waits)


@dataclass(frozen=True)
class _Answers:
    """First answers by key: their table, and hours since each and until its label (NaN while it waits)."""

    rows: pa.Table
    waits: Waits


def labelled(
    context: Context, champion: Champion, moment: datetime, *, window: tuple[datetime, datetime] | None = None
) -> Labelled:
    """Answers of the champion joined with labels known at the moment, each key once: its earliest answer.

    The last `label_days` of answers that are old enough count: old enough is an age at which nearly all labels that ever come
    are there, see `delay`. Younger answers count where the labels of their whole day are there already.

    Args:
        window: look at the answers of this span instead; they must be old enough too.
    """
    policy, url = context.problem.drift, context.settings.database_url
    start, end = span(moment, 2 * policy.label_days + context.problem.source.lookback_days)
    start = min(start, window[0]) if window else start
    served = requests.read(url, context.problem.name, start, end, rows=False)
    table = context.table("valid")
    version = table.version if table.exists else None
    known = labels.known(context, pc.unique(served["key"].drop_null()), start, moment, version=version)
    everybody = _first(served, known, moment, context.problem.source.timezone).waits
    age, whole_days = delay.old_enough(everybody, delay.arrival(everybody))
    since, until = window or (span(moment, policy.label_days)[0] - timedelta(hours=age), end)
    ours = served.filter(
        (pc.field("version") == champion.version) & (pc.field("served_at") >= since) & (pc.field("served_at") < until)
    )
    first = _first(ours, known, moment, context.problem.source.timezone)
    old = (first.waits.ages >= age) | np.isin(first.waits.days, list(whole_days))
    counts: Bools = old & first.waits.labelled
    rows = first.rows.filter(pa.array(counts))
    keys = np.asarray(rows["key"].to_pylist(), dtype=str)
    sample = keys[choose(len(keys))].tolist()
    asked = requests.asked(url, context.problem.name, champion.version, sample, since) if sample else {}
    num_keyless = ours["key"].null_count
    return Labelled(
        scores=requests.scores_of(rows),
        labels=_truth(rows, known),
        num_repeated=ours.num_rows - num_keyless - first.rows.num_rows,
        num_keyless=num_keyless,
        num_waiting=int((~first.waits.labelled).sum()),
        valid_version=version,
        days=first.waits.days[counts],
        num_young=int((first.waits.labelled & ~old).sum()),
        keys=keys,
        asked={key: json.loads(text) for key, text in asked.items()},
        waits=everybody,
    )


def column(found: Labelled, name: str, feature: Feature) -> tuple[npt.NDArray[np.int64], pa.Array]:
    """Which answers hold a column, shape (m,), and its values there, shape (m,); nothing where a value is none of its type."""
    held = [place for place, key in enumerate(found.keys) if name in found.asked.get(str(key), {})]
    try:
        values = requests.typed([found.asked[str(found.keys[place])][name] for place in held], feature.type)
    except ValueError:
        return np.zeros(0, np.int64), pa.array([], pa.string())
    return np.asarray(held, np.int64), values


def _first(served: pa.Table, known: Known, moment: datetime, zone: str) -> _Answers:
    """The earliest answer of every key."""
    keyed = served.filter(pc.is_valid(served["key"]))
    keys = np.asarray(keyed["key"].to_pylist(), dtype=object).astype(str)
    rows = keyed.take(pa.array(np.unique(keys, return_index=True)[1]))
    return _Answers(rows, _waits(rows, known, moment, zone))


def _waits(rows: pa.Table, known: Known, moment: datetime, zone: str) -> Waits:
    """A label without a moment, or with one before the answer, was there at once."""
    local = pc.strftime(rows["served_at"].cast(pa.timestamp("us", zone)), "%Y-%m-%d")
    ages, delays = np.zeros(rows.num_rows), np.full(rows.num_rows, np.nan)
    for place, (key, served) in enumerate(zip(rows["key"].to_pylist(), rows["served_at"].to_pylist(), strict=True)):
        ages[place] = (moment - served).total_seconds() / 3600
        if key in known:
            delays[place] = max(0.0, (known[key][0] - served).total_seconds() / 3600)
    return Waits(np.maximum(ages, 0.0), delays, np.asarray(local.to_pylist(), dtype=str))


def _truth(rows: pa.Table, known: Known) -> Floats:
    """Labels of some rows that all have one, as numbers."""
    return np.asarray([known[key][1] for key in rows["key"].to_pylist()], dtype=np.float64)
