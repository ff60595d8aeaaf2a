"""Real flights and complaints as batches for the contract, and ways to change them as sources change."""

import os
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from ml import problem as problems
from ml import source
from ml.contract import Batch, BatchProfiler, Contract, Difference, compare, record
from ml.samples import complaints as complaints_
from ml.samples import flights as flights_
from ml.settings import PROJECT
from ml.tables import DAY

HOUR = 3_600_000_000  # microseconds
MOMENT = pa.timestamp("us", "UTC")


FLIGHTS = problems.load("flights", PROJECT / "ml" / "problems")
KINDS = source.columns(FLIGHTS) | {"temp": "number", "dewp": "number", "pressure": "number", "plane_engine": "category"}
KINDS |= dict.fromkeys(("fare", "tax_cents", "altitude", "width", "weight", "load", "celsius"), "number") | {
    "cancelled": "category"
}
COMPLAINTS = problems.load("complaints", PROJECT / "ml" / "problems")
COMPLAINT_KINDS = source.columns(COMPLAINTS)


@cache
def flights() -> pa.Table:
    """All flights with the columns of KINDS and `_day`; a few columns in other units are made from real ones."""
    table = flights_.read()
    seats = pc.fill_null(table["plane_seats"], 150.0)
    fare = pc.round(pc.add(pc.multiply(table["distance"], 0.1137), pc.divide(4711.0, pc.add(seats, 9.0))), 2)
    table = table.append_column("fare", fare).append_column("tax_cents", pc.round(pc.multiply(fare, 7.5), 0))
    made = {
        "altitude": pc.round(pc.add(pc.multiply(table["distance"], 9.1), 8_000.0), 0),  # feet
        "width": pc.round(pc.divide(seats, 7.0), 1),  # inches
        "weight": pc.round(pc.add(pc.multiply(seats, 411.5), table["distance"]), 0),  # pounds
        "load": pc.round(pc.divide(seats, pc.add(seats, 83.0)), 3),  # a share
        "celsius": pc.round(pc.divide(pc.subtract(table["temp"], 32.0), 1.8), 1),
    }
    for name, values in made.items():
        table = table.append_column(name, values)
    table = put(table, "cancelled", table["cancelled"].cast(pa.string()))
    local = table["sched_dep"].cast(pa.timestamp("us", FLIGHTS.source.timezone))
    return table.select(list(KINDS)).append_column(DAY, pc.strftime(local, "%Y-%m-%d").combine_chunks())


@cache
def complaints(folder: Path) -> pa.Table:
    """All complaints with the declared columns and `_day`."""
    table = complaints_.read(folder)
    return table.select(list(COMPLAINT_KINDS)).append_column(
        DAY, pc.strftime(table["date_received"], "%Y-%m-%d").combine_chunks()
    )


def window(table: pa.Table, start: date, end: date, *, label: str, label_time: str, available: str) -> pa.Table:
    """Rows of a window as they were known in the morning after it."""
    now = pa.scalar(datetime(end.year, end.month, end.day, 8, tzinfo=UTC), MOMENT)
    inside = pc.and_(pc.greater_equal(table[DAY], str(start)), pc.less(table[DAY], str(end)))
    rows = table.filter(pc.and_(inside, pc.less_equal(table[available], now)))
    known = pc.less_equal(rows[label_time], now)
    for name in (label, label_time):
        rows = put(rows, name, pc.if_else(known, rows[name], pa.scalar(None, rows[name].type)))
    return rows


def flights_of(start: date, end: date) -> pa.Table:
    return window(flights(), start, end, label="late_15", label_time="outcome_at", available="available_at")


def complaints_of(folder: Path, start: date, end: date) -> pa.Table:
    return window(complaints(folder), start, end, label="disputed", label_time="disputed_at", available="available_at")


def profiled(rows: pa.Table, kinds: dict[str, str] = KINDS, about: problems.Problem = FLIGHTS) -> Batch:
    profiler = BatchProfiler(kinds, about.source.timezone, about.source.event_time, about.contract.minimum_rows)
    rows = rows.set_column(rows.schema.get_field_index(DAY), DAY, rows[DAY].dictionary_encode())
    for batch in rows.to_batches(max_chunksize=65_536):
        profiler.add(batch)
    return profiler.result()


def recorded(batch: Batch, kinds: dict[str, str] = KINDS, about: problems.Problem = FLIGHTS) -> Contract:
    types = {name: column.arrow for name, column in batch.columns.items()}
    return record(about, kinds, types, batch, at=datetime(2013, 2, 1, tzinfo=UTC), run_key="first")


def extracts() -> Path:
    folder = Path(os.environ.get("EVERGREEN_DATA") or PROJECT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"the CFPB extracts are not at {folder}: set EVERGREEN_DATA to their folder")
    return folder


def complaints_contract(folder: Path, start: date, end: date) -> Contract:
    return recorded(profiled(complaints_of(folder, start, end), COMPLAINT_KINDS, COMPLAINTS), COMPLAINT_KINDS, COMPLAINTS)


def differing_complaints(rows: pa.Table, contract: Contract) -> list[Difference]:
    return compare(contract, profiled(rows, COMPLAINT_KINDS, COMPLAINTS))


@cache
def january() -> Contract:
    return recorded(profiled(flights_of(date(2013, 1, 1), date(2013, 2, 1))))


def night(day: date) -> pa.Table:
    """What the night after `day` reads: the day and three before it."""
    return flights_of(day - timedelta(days=3), day + timedelta(days=1))


def differing(rows: pa.Table, contract: Contract) -> list[Difference]:
    return compare(contract, profiled(rows))


def put(rows: pa.Table, name: str, values: pa.Array | pa.ChunkedArray) -> pa.Table:
    return rows.set_column(rows.column_names.index(name), name, values)


def times(name: str, factor: float, plus: float = 0.0, digits: int | None = None):
    """Numbers in another unit, rounded as people do."""

    def change(rows: pa.Table) -> pa.Table:
        values = pc.add(pc.multiply(rows[name], factor), plus)
        return put(rows, name, pc.round(values, digits) if digits is not None else values)

    return change


def mapped(name: str, how):
    """Texts changed one by one; nulls stay."""

    def change(rows: pa.Table) -> pa.Table:
        return put(rows, name, pa.array([None if one is None else how(one) for one in rows[name].to_pylist()], pa.string()))

    return change


def set_to(name: str, value):
    return lambda rows: put(rows, name, pa.array([value] * rows.num_rows, rows[name].type))


def filled(name: str, value):
    return lambda rows: put(rows, name, pc.fill_null(rows[name], value))


def shifted(*names: str, hours: float):
    """Moments moved; the rows stay in their days, as a look-back finds them."""

    def change(rows: pa.Table) -> pa.Table:
        for name in names:
            moved = pc.add(rows[name].cast(pa.int64()), int(hours * HOUR)).cast(MOMENT)
            rows = put(rows, name, moved)
        return rows

    return change


def epoch(name: str, factor: float):
    """Seconds since 1970 taken for another unit."""

    def change(rows: pa.Table) -> pa.Table:
        return put(rows, name, pc.multiply(rows[name].cast(pa.int64()), factor).cast(pa.int64()).cast(MOMENT))

    return change


def moments(name: str, how):
    """Moments changed one by one."""

    def change(rows: pa.Table) -> pa.Table:
        return put(rows, name, pa.array([None if one is None else how(one) for one in rows[name].to_pylist()], MOMENT))

    return change


def swapped(one: str, other: str):
    return lambda rows: put(put(rows, one, rows[other]), other, rows[one])


def newest_day_only(change):
    """The change began last night: older rows are as they were."""

    def both(rows: pa.Table) -> pa.Table:
        newest = pc.equal(rows[DAY], pc.max(rows[DAY]))
        return pa.concat_tables([rows.filter(pc.invert(newest)), change(rows.filter(newest))])

    return both


def some_null(name: str, share: float):
    def change(rows: pa.Table) -> pa.Table:
        gone = np.random.default_rng(1).random(rows.num_rows) < share
        return put(rows, name, pc.if_else(pa.array(gone), pa.scalar(None, rows[name].type), rows[name]))

    return change
