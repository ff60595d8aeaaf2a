"""What a report reads: every row's day and label, counted, and a bounded sample of whole rows, the same each time."""

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ml.context import Context
from ml.problem import Problem
from ml.records import Ingested, Validated
from ml.tables import ARROW_TYPES, DAY, Table
from ml.understand import question
from ml.understand.columns import Bools, Column, Floats, Ints, kind_of
from ml.understand.history import UNKNOWN, History, merge
from ml.window import Window, local_day

MOST_ROWS, MOST_CELLS = 50_000, 5_000_000  # of each side: the newest days, and those before
MOST_ROWS_A_NIGHT = 20_000
BEGINNING = date(1, 1, 1)


@dataclass(frozen=True)
class Plan:
    """Which rows: the newest days, those before (None: there are none), the version of `valid`, and for numbers the middle of
    the labels.
    """

    newest: Window
    before: Window | None
    version: int
    most_rows: int
    middle: float | None = None


@dataclass(frozen=True)
class Sample:
    """Whole rows of the plan, at most so many of each side; all arrays have shape (n,).

    `labels` are NaN where unknown; `days` and `known_days` count from 1970, the day of the event and the day on which the
    row became known; `newest` marks the rows of the newest days.
    """

    columns: dict[str, Column]
    keys: Sequence[str]
    labels: Floats
    days: Ints
    known_days: Ints
    newest: Bools

    @property
    def num_rows(self) -> int:
        """Rows of both sides."""
        return len(self.keys)

    @property
    def declared(self) -> dict[str, Column]:
        """The features of the problem file."""
        return {name: column for name, column in self.columns.items() if column.declared}


def plan(context: Context) -> Plan | None:
    """What to read: by hand all days up to the window's end, in a night its memory. None without a row to show."""
    table, split = context.table("valid"), context.problem.split
    validated = context.record(Validated) if context.has(Validated) else None
    nightly = validated or (context.record(Ingested) if context.has(Ingested) else None)  # a batch that was refused
    version = validated.version if validated else table.version if table.exists else -1
    days = sorted(table.files(version)) if version >= 0 else []
    asked = Window.parse(context.window) if context.window and not nightly else None
    earliest = nightly.end - timedelta(days=split.train_days) if nightly else BEGINNING
    last = nightly.end if nightly else asked.end if asked else date.max
    days = [day for day in days if earliest <= day < last]
    if not days or (asked and days[-1] < asked.start):
        return None
    end = days[-1] + timedelta(days=1)
    start = asked.start if asked else max(end - timedelta(days=split.test_days), min(days[0] + timedelta(days=1), days[-1]))
    before = Window(days[0], start) if days[0] < start else None
    most = MOST_ROWS_A_NIGHT if nightly else MOST_ROWS
    newest = Window(min(start, days[-1]), end)
    labels = table.read(Window(days[0], end), columns=list(context.problem.source.labels), version=version)
    return Plan(newest, before, version, most, question.middle(labels, context.problem))


def read(context: Context, what: Plan) -> tuple[Sample, History]:
    """One pass over the rows of the plan, in memory that does not grow with them.

    Raises: DataError, TransientError: as the table says.
    """
    table = context.table("valid")
    names = _columns(table, context.problem)
    parts, histories = [], []
    for span, newest in ((what.before, False), (what.newest, True)):
        if span is None:
            continue
        total = sum(table.num_rows(span, version=what.version).values())
        most = min(what.most_rows, max(MOST_CELLS // len(names), 1))
        for batch in table.batches(span, columns=names, version=what.version):
            rows = pa.Table.from_batches([batch])
            histories.append(_counted(rows, context.problem, what.middle))
            if len(histories) > 50:
                histories = [merge(histories)]
            kept = _chosen(rows, context.problem, most / max(total, 1))
            parts.append(kept.append_column("_newest", pa.array(np.full(kept.num_rows, newest))))
    return _sample(parts, context.problem, what.middle), merge(histories)


def until(history: History, context: Context) -> int:
    """The last day up to which labels are known, days since 1970: that of the newest row or label, and not after now."""
    today = (local_day(context.settings.now(), context.problem.source.timezone) - date(1970, 1, 1)).days
    newest = int((history.day + np.maximum(history.delay, 0)).max(initial=0))
    return min(newest, today)


def column_of(rows: pa.Table, name: str, problem: Problem) -> Column | None:
    """One column of stored rows as the report sees it; None for kinds that no chart can show.

    A declared column has its declared type, whatever null type an empty table gave it; moments are local.
    """
    feature, held = problem.features.get(name), rows[name]
    kind = feature.type if feature else kind_of(held)
    if kind is None:
        return None
    wanted = pa.timestamp("us", problem.source.timezone) if kind == "datetime" else ARROW_TYPES[kind]
    if kind == "datetime" and not (pa.types.is_timestamp(held.type) and held.type.tz):
        held = held.cast(pa.timestamp("us")).cast(pa.timestamp("us", "UTC"))
    values = held.cast(wanted).combine_chunks()
    values = values if isinstance(values, pa.Array) else pa.concat_arrays(values.chunks or [pa.array([], wanted)])
    return Column(name, kind, values, feature is not None, feature.unit if feature else "")


def local_days(moments: pa.ChunkedArray, zone: str) -> Ints:
    """Calendar days of moments, since 1970; a far negative number where missing."""
    local = pc.local_timestamp(moments.cast(pa.timestamp("us", "UTC")).cast(pa.timestamp("us", zone)))
    days = local.cast(pa.timestamp("s"), safe=False).cast(pa.date32()).cast(pa.int32())
    return np.asarray(days.fill_null(np.iinfo(np.int32).min).to_numpy(), np.int64)


def _columns(table: Table, problem: Problem) -> list[str]:
    """Every column that a chart, a label or a key needs; other times of the source are bookkeeping."""
    source = problem.source
    unused = {source.deleted, source.updated_at}
    return [name for name in table.schema() if name == DAY or not (name.startswith("_") or name in unused)]


def _event_days(rows: pa.Table) -> Ints:
    coded = rows[DAY].cast(pa.string()).combine_chunks().dictionary_encode()  # few different days: parse each once
    days = np.asarray(coded.dictionary.to_pylist(), dtype="datetime64[D]").astype(np.int64)
    return np.asarray(days[coded.indices.to_numpy()], np.int64)


def _counted(rows: pa.Table, problem: Problem, middle: float | None) -> History:
    source, days = problem.source, _event_days(rows)
    labels = np.asarray(question.answer(rows, problem, middle).cast(pa.int8()).fill_null(UNKNOWN).to_numpy(), np.int64)
    known = local_days(rows[source.label_time], source.timezone)
    waited = np.where(known == np.iinfo(np.int32).min, UNKNOWN, np.maximum(known - days, 0))
    return History.of(days, labels, waited)


def _chosen(rows: pa.Table, problem: Problem, share: float) -> pa.Table:
    """The rows whose key hashes low enough: the same ones whatever the order of files, and all rows of a key or none."""
    if share >= 1:
        return rows
    keys = rows[problem.source.key].cast(pa.string()).fill_null("").to_pylist()
    hashes = np.fromiter((zlib.crc32(key.encode()) for key in keys), np.float64, len(keys))
    return rows.filter(pa.array(hashes < share * 2**32))


def _sample(parts: list[pa.Table], problem: Problem, middle: float | None) -> Sample:
    source = problem.source
    rows = pa.concat_tables(parts).sort_by([(DAY, "ascending"), (source.key, "ascending")])  # whatever the order of files
    fixed = {source.key, *source.labels, source.label_time, source.available_at, DAY, "_newest"}
    if source.event_time not in problem.features:
        fixed.add(source.event_time)
    order = [*(name for name in problem.features if name in rows.column_names), *_undeclared(rows, problem, fixed)]
    found = {name: column_of(rows, name, problem) for name in order}
    days, yes = _event_days(rows), question.answer(rows, problem, middle)
    known = local_days(rows[source.available_at], source.timezone) if source.available_at else days
    return Sample(
        columns={name: column for name, column in found.items() if column is not None},
        keys=rows[source.key].cast(pa.string()).fill_null("").to_pylist(),
        labels=np.asarray(yes.cast(pa.int8()).cast(pa.float64()).fill_null(np.nan).to_numpy(), np.float64),
        days=days,
        known_days=known,
        newest=np.asarray(rows["_newest"].to_numpy(), bool),
    )


def _undeclared(rows: pa.Table, problem: Problem, fixed: set[str | None]) -> Iterator[str]:
    return (name for name in rows.column_names if name not in problem.features and name not in fixed)
