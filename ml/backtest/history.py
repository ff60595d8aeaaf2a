"""All that is known today about the past, in one file by the moment at which each row was asked about."""

import zlib
from datetime import date, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ml import exclusions, source
from ml.context import Context
from ml.errors import DataError
from ml.problem import Problem
from ml.tables import DAY
from ml.window import Window

ASKED = "_asked"  # when a prediction was asked for: the moment the row became known
UTC_TIME = pa.timestamp("us", "UTC")
ROW_GROUP = 20_000  # rows: a night's requests are found without reading the rest
PARTS = 1_000_000


def of_table(context: Context) -> pa.Table:
    """Every row of `valid` as it stands, without days that people took out.

    Raises: DataError: nothing was ever validated.
    """
    table = context.table("valid")
    days = table.days()
    if not days:
        raise DataError(
            f"The table `valid` of {context.problem.name} holds no rows, so there is no past to try policies on. Run some "
            "nights, or fill it by a backfill of the days you want."
        )
    whole = Window(days[0], date.fromordinal(days[-1].toordinal() + 1))
    rows = exclusions.without(table.read(whole), exclusions.days(context))
    return rows.select([*source.columns(context.problem), DAY])


def of_sample(rows: pa.Table, problem: Problem) -> pa.Table:
    """A sample's history as `valid` would hold it: the declared columns in their types, and the local day."""
    kinds = source.columns(problem)
    absent = sorted(set(kinds) - set(rows.column_names))
    if absent:
        raise DataError(f"The sample has no column {absent[0]!r}; it has {sorted(rows.column_names)}.")
    held = {name: rows[name].cast(source.ARROW[kind]) for name, kind in kinds.items()}
    local = pc.local_timestamp(rows[problem.source.event_time].cast(pa.timestamp("us", problem.source.timezone)))
    return pa.table(held | {DAY: local.cast(pa.date32(), safe=False).cast(pa.string())})


def thinned(rows: pa.Table, key: str, share: float) -> pa.Table:
    """A fixed share of the keys, the same ones whatever else is replayed."""
    if share >= 1:
        return rows
    sums = np.fromiter((zlib.crc32(f"kept {one}".encode()) for one in rows[key].to_pylist()), np.int64, rows.num_rows)
    return rows.filter(pa.array(sums % PARTS < share * PARTS))


def write(path: Path, rows: pa.Table, problem: Problem) -> None:
    """Keep the history in the order in which its rows were asked about."""
    about = problem.source
    asked = rows[about.event_time]
    if about.available_at:
        asked = pc.coalesce(rows[about.available_at], asked)
    ordered = rows.append_column(ASKED, asked.cast(UTC_TIME)).sort_by([(ASKED, "ascending"), (about.key, "ascending")])
    pq.write_table(ordered, path, compression="zstd", row_group_size=ROW_GROUP)


def asked_between(path: Path, start: datetime, end: datetime) -> pa.Table:
    """The rows that were asked about from `start` up to, not including, `end`."""
    return pq.read_table(path, filters=[(ASKED, ">=", start), (ASKED, "<", end)])


def known_at(rows: pa.Table, moment: datetime, problem: Problem) -> pa.Table:
    """What a night at that moment may see: rows that had become known, labels missing until they had.

    The same rule by which every source is read (see `ml.source`).
    """
    about, now = problem.source, pa.scalar(moment, UTC_TIME)
    seen = rows
    if about.available_at:
        available = rows[about.available_at].cast(UTC_TIME)
        seen = rows.filter(pc.or_kleene(pc.is_null(available), pc.less_equal(available, now)))
    known = pc.fill_null(pc.less_equal(seen[about.label_time].cast(UTC_TIME), now), False)
    for name in (*about.labels, about.label_time):
        masked = pc.if_else(known, seen[name], pa.scalar(None, seen[name].type))
        seen = seen.set_column(seen.column_names.index(name), name, masked)
    return seen


def refuse_uncovered(rows: pa.Table, span: Window, problem: Problem) -> None:
    """Raise DataError unless there is history before the span to learn from, and rows in it to answer."""
    days = sorted(rows[DAY].unique().to_pylist())
    split = problem.split
    needed = split.test_days + split.validation_days + 2 * split.gap_days + 1
    if not days or days[-1] < str(span.start) or (span.start - date.fromisoformat(days[0])).days < needed:
        told = f"rows from {days[0]} to {days[-1]}" if days else "no rows"
        raise DataError(
            f"The history of {problem.name} has {told}, and a backtest from {span.start} on needs "
            f"at least {needed} labelled days before it. Name another span, or bring in older days by a backfill."
        )
