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
from ml.errors import TransientError
from ml.ledger import Champion
from ml.monitor import delay
from ml.monitor.delay import Bools, Floats, Waits
from ml.monitor.sample import choose, span
from ml.problem import Feature

Texts = npt.NDArray[Any]
NAME = "_name"  # of an answer, see `labels.names`
Known = Mapping[str, tuple[datetime, Floats]]
NOBODY = Waits(np.zeros(0), np.zeros(0), np.zeros(0, str))


@dataclass(frozen=True)
class Labelled:
    """Answers whose truth is known by now, one per key: `scores` and `labels`, shapes (n,), (n, k) with several outputs.

    An answer without a key has the name of its request and place for a key, and counts by itself.
    """

    scores: Floats
    labels: Floats
    num_repeated: int
    num_keyless: int  # answers that nothing can give a label: they have no key, and no feedback names requests
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
    """First answers by name: their table, and hours since each and until its label (NaN while it waits)."""

    rows: pa.Table
    waits: Waits


def labelled(
    context: Context, champion: Champion, moment: datetime, *, window: tuple[datetime, datetime] | None = None
) -> Labelled:
    """Answers of the champion joined with labels known at the moment, each key once: its earliest answer.

    Answers without a key count where any has a label: then feedback names requests, and those without one wait for it.

    The last `label_days` of answers that are old enough count: old enough is an age at which nearly all labels that ever come
    are there, see `delay`. Younger answers count where the labels of their whole day are there already.

    Args:
        window: look at the answers of this span instead; they must be old enough too.
    """
    policy, url = context.problem.drift, context.settings.database_url
    start, end = span(moment, 2 * policy.label_days + context.problem.source.lookback_days)
    start = min(start, window[0]) if window else start
    served = requests.read(url, context.problem.name, start, end, rows=False)
    served = served.append_column(NAME, labels.names(served))
    table = context.table("valid")
    version = table.version if table.exists else None
    known = labels.known(context, pc.unique(served[NAME]), start, moment, version=version)
    served, keyless = _taking_part(served, known)
    everybody = _first(served, known, moment, context.problem.source.timezone).waits
    age, whole_days = delay.old_enough(everybody, delay.arrival(everybody))
    since, until = window or (span(moment, policy.label_days)[0] - timedelta(hours=age), end)
    inside = (pc.field("version") == champion.version) & (pc.field("served_at") >= since) & (pc.field("served_at") < until)
    ours = served.filter(inside)
    first = _first(ours, known, moment, context.problem.source.timezone)
    old = (first.waits.ages >= age) | np.isin(first.waits.days, list(whole_days))
    counts: Bools = old & first.waits.labelled
    rows = first.rows.filter(pa.array(counts))
    return Labelled(
        scores=requests.scores_of(rows),
        labels=_truth(rows, known),
        num_repeated=ours.num_rows - first.rows.num_rows,
        num_keyless=keyless.filter(inside).num_rows,
        num_waiting=int((~first.waits.labelled).sum()),
        valid_version=version,
        days=first.waits.days[counts],
        num_young=int((first.waits.labelled & ~old).sum()),
        keys=np.asarray(rows[NAME].to_pylist(), dtype=str),
        asked=_asked(context, rows.take(choose(rows.num_rows))),
        waits=everybody,
    )


def _taking_part(served: pa.Table, known: Known) -> tuple[pa.Table, pa.Table]:
    """Answers that a label can come for, and the others: without a key, where no feedback names a request."""
    keyed = pc.is_valid(served["key"])
    keyless = served.filter(pc.invert(keyed))
    if any(name in known for name in keyless[NAME].to_pylist()):
        return served, keyless.slice(0, 0)
    return served.filter(keyed), keyless


def _asked(context: Context, answers: pa.Table) -> dict[str, dict[str, Any]]:
    """What was asked in some answers, by name.

    Raises: TransientError: somebody was erased while it was read.
    """
    texts = requests.rows_of(context.settings.database_url, context.problem.name, answers)
    if len(texts) < answers.num_rows:
        raise TransientError(
            f"{answers.num_rows - len(texts)} answers went from the request log while it was read; run this again."
        )
    return {name: json.loads(text) for name, text in zip(answers[NAME].to_pylist(), texts, strict=True)}


def column(found: Labelled, name: str, feature: Feature) -> tuple[npt.NDArray[np.int64], pa.Array]:
    """Which answers hold a column, shape (m,), and its values there, shape (m,); nothing where a value is none of its type."""
    held = [place for place, key in enumerate(found.keys) if name in found.asked.get(str(key), {})]
    try:
        values = requests.typed([found.asked[str(found.keys[place])][name] for place in held], feature.type)
    except ValueError:
        return np.zeros(0, np.int64), pa.array([], pa.string())
    return np.asarray(held, np.int64), values


def _first(served: pa.Table, known: Known, moment: datetime, zone: str) -> _Answers:
    """The earliest answer of every name."""
    names = np.asarray(served[NAME].to_pylist(), dtype=object).astype(str)
    rows = served.take(pa.array(np.unique(names, return_index=True)[1]))
    return _Answers(rows, _waits(rows, known, moment, zone))


def _waits(rows: pa.Table, known: Known, moment: datetime, zone: str) -> Waits:
    """A label without a moment, or with one before the answer, was there at once."""
    local = pc.strftime(rows["served_at"].cast(pa.timestamp("us", zone)), "%Y-%m-%d")
    ages, delays = np.zeros(rows.num_rows), np.full(rows.num_rows, np.nan)
    for place, (name, served) in enumerate(zip(rows[NAME].to_pylist(), rows["served_at"].to_pylist(), strict=True)):
        ages[place] = (moment - served).total_seconds() / 3600
        if name in known:
            delays[place] = max(0.0, (known[name][0] - served).total_seconds() / 3600)
    return Waits(np.maximum(ages, 0.0), delays, np.asarray(local.to_pylist(), dtype=str))


def _truth(rows: pa.Table, known: Known) -> Floats:
    """Labels of some rows that all have one, as numbers."""
    return np.asarray([known[name][1] for name in rows[NAME].to_pylist()], dtype=np.float64)
