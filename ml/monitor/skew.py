"""Training-serving skew: was the model asked with the values that the table of valid rows holds of the same keys?"""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ml.context import Context
from ml.monitor.answers import Labelled, column
from ml.monitor.finding import too_few, unknown
from ml.problem import Drift, Feature, Problem
from ml.records import DriftFinding
from ml.tables import ARROW_TYPES, DAY
from ml.window import Window

CLOSE = 1e-6  # relative: numbers travel as text through the request and as float64 or float32 through the table
LATE = 7  # days around those of the answers in which their rows are looked for


@dataclass(frozen=True)
class Compared:
    """One column of the same keys: how many were compared, and how many of them differ."""

    num_rows: int
    num_unequal: int


def compared(context: Context, found: Labelled) -> dict[str, Compared]:
    """Answers with a known label against the table's rows of their keys, by column.

    Columns that the table holds hidden ([privacy] redact) are left out, and values that are none of the column's type.
    """
    problem, table = context.problem, context.table("valid")
    names = [name for name in problem.features if name not in problem.privacy.redact]
    if not found.asked or found.days is None or not table.exists:
        return {}
    days = sorted({date.fromisoformat(day) for day in found.days.tolist()})
    margin = timedelta(days=LATE + problem.source.lookback_days)
    held = _rows(context, Window(days[0] - margin, days[-1] + margin), names, found)
    result = {}
    for name in [name for name in names if name in held.column_names]:
        places, asked = column(found, name, problem.features[name])
        there = pc.index_in(pa.array(found.keys[places].tolist(), pa.string()), held[problem.source.key].combine_chunks())
        both = pc.is_valid(there)
        stored = _typed(held[name].take(there.filter(both)), problem.features[name], problem.source.timezone)
        unequal = differ(asked.filter(both), stored)
        result[name] = Compared(len(unequal), int(unequal.sum()))
    return result


def differ(asked: pa.Array, stored: pa.Array) -> npt.NDArray[np.bool_]:
    """Which values differ, shape (n,): numbers by more than CLOSE; an empty text and a missing one are the same."""
    if pa.types.is_floating(asked.type):
        one, other = (np.asarray(side.fill_null(np.nan).to_numpy(zero_copy_only=False), np.float64) for side in (asked, stored))
        same = np.isclose(one, other, rtol=CLOSE, atol=0.0, equal_nan=True)
        return np.asarray(~same)
    plain = [_plain(side) for side in (asked, stored)]
    same = pc.fill_null(pc.equal(*plain), False)
    gone = pc.and_(pc.is_null(plain[0]), pc.is_null(plain[1]))
    return np.asarray(pc.invert(pc.or_(same, gone)).to_numpy(zero_copy_only=False))


def of_skew(found: dict[str, Compared], problem: Problem) -> list[DriftFinding]:
    """Every column; examples are counted and not quoted, for findings go into the ledger."""
    return [_finding(name, found[name], problem.drift) for name in problem.features if name in found]


def _finding(name: str, one: Compared, policy: Drift) -> DriftFinding:
    if one.num_rows < policy.minimum_rows:
        return unknown("skew", name, too_few(one.num_rows, "answers whose row is in the table", policy))
    share = one.num_unequal / one.num_rows
    return DriftFinding(
        kind="skew",
        subject=name,
        drifted=share > policy.skew,
        value=share,
        limit=policy.skew,
        p_value=None,
        sentence=f"{name} was asked with another value than the table holds for {one.num_unequal:,} of {one.num_rows:,} "
        f"answers ({share:.1%}), limit {policy.skew:.0%}",
    )


def _rows(context: Context, window: Window, names: list[str], found: Labelled) -> pa.Table:
    """The newest row of every key that was asked; the table is read a bit at a time."""
    key, table = context.problem.source.key, context.table("valid")
    there = table.schema(found.valid_version)
    wanted = [key, *[name for name in names if name in there and name != key], DAY]
    asked = pa.array(list(found.asked), pa.string())
    batches = [pa.table({name: pa.nulls(0, there[name]) for name in wanted})]
    for batch in table.batches(window, columns=wanted, version=found.valid_version):
        some = pa.Table.from_batches([batch]).select(wanted)
        batches.append(some.filter(pc.is_in(some[key].cast(pa.string()), asked)))
    rows = pa.concat_tables(batches, promote_options="permissive")
    rows = rows.set_column(0, key, rows[key].cast(pa.string())).sort_by([(DAY, "descending")])
    return rows.take(pa.array(np.unique(np.asarray(rows[key].to_pylist(), dtype=str), return_index=True)[1]))


def _typed(values: pa.ChunkedArray, feature: Feature, zone: str) -> pa.Array:
    """As requests hold them; a time without zone is local to the problem."""
    if pa.types.is_timestamp(values.type) and values.type.tz is None:
        values = pc.assume_timezone(values, zone, ambiguous="latest", nonexistent="latest")
    typed = values.cast(ARROW_TYPES[feature.type])
    return typed.combine_chunks() if isinstance(typed, pa.ChunkedArray) else typed


def _plain(values: pa.Array) -> Any:
    if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
        return pc.if_else(pc.equal(values, ""), pa.scalar(None, values.type), values)
    return values
