"""A table of 13 mixed columns with one bad row in a hundred, 25 rules about it, and one Polars pass that computes the same."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ml.tables import DAY

DAYS, BAD_SHARE, PIECE = 30, 0.01, 250_000
START = np.datetime64("2024-01-01T00:00:00", "us")
UTC_TIME = pa.timestamp("us", "UTC")
ENGINES = ["turbofan", "turbojet", "piston", "none"]
ORIGINS = ["EWR", "JFK", "LGA"]

PROBLEM = """
[problem]
name = "bench"
title = "b"
task = "binary"
owner = "b"
[source]
table = "bench"
key = "key"
event_time = "at"
label = "label"
label_time = "labelled"
available_at = "known"
[features]
carrier = { type = "category" }
origin = { type = "category" }
dest = { type = "category" }
engine = { type = "category" }
distance = { type = "number" }
minutes = { type = "number" }
humid = { type = "number" }
wind = { type = "number" }
"""


def _rule(kind: str, **kwargs: Any) -> dict[str, Any]:
    return {"type": f"expect_{kind}", "kwargs": kwargs, "severity": "critical", "meta": {"why": "measured"}}


def _present(column: str) -> dict[str, Any]:
    return _rule("column_values_to_not_be_null", column=column)


def _between(column: str, low: float, high: float) -> dict[str, Any]:
    return _rule("column_values_to_be_between", column=column, min_value=low, max_value=high)


RULES = [
    _present("key"),
    _rule("column_values_to_be_unique", column="key"),
    _rule("column_values_to_match_regex", column="key", regex=r"^r\d{9}$"),
    _present("at"),
    _present("known"),
    _rule("column_pair_values_a_to_be_greater_than_b", column_A="at", column_B="known", ignore_row_if="either_value_is_missing"),
    _rule("column_values_to_be_in_set", column="label", value_set=[True, False]),
    _present("carrier"),
    _rule("column_values_to_match_regex", column="carrier", regex="^[A-Z0-9]{2}$"),
    _rule("column_values_to_be_in_set", column="origin", value_set=ORIGINS),
    _rule("column_values_to_match_regex", column="dest", regex="^[A-Z]{3}$"),
    _rule("column_values_to_be_in_set", column="engine", value_set=ENGINES),
    _present("distance"),
    _between("distance", 50, 6000),
    _between("minutes", 20, 1200),
    _between("humid", 0, 110),
    _between("wind", 0, 300),
    _rule("column_value_lengths_to_be_between", column="dest", min_value=3, max_value=3),
    _rule("table_row_count_to_be_between", min_value=1),
    _rule("column_distinct_values_to_contain_set", column="origin", value_set=ORIGINS),
    _rule("column_unique_value_count_to_be_between", column="carrier", min_value=8),
    _rule("column_proportion_of_non_null_values_to_be_between", column="minutes", min_value=0.5),
    _rule("column_mean_to_be_between", column="distance", min_value=600, max_value=1800),
    _rule("column_most_common_value_to_be_in_set", column="label", value_set=[False]),
    _rule("column_max_to_be_between", column="wind", max_value=10_000),
]
SUITE = {"name": "bench.raw", "expectations": RULES}


def pieces(num_rows: int, seed: int = 1) -> Iterator[pa.Table]:
    """The table, a quarter of a million rows at a time."""
    for first in range(0, num_rows, PIECE):
        yield _piece(np.random.default_rng([seed, first]), first, min(PIECE, num_rows - first), num_rows)


def _piece(draw: np.random.Generator, first: int, size: int, num_rows: int) -> pa.Table:
    def category(values: list[str]) -> pa.Array:
        return pa.array(values).take(pa.array(draw.integers(0, len(values), size)))

    number = np.arange(first, first + size)
    at = START + (number * (DAYS * 86_400_000_000 // num_rows)).astype("timedelta64[us]")
    key = pc.binary_join_element_wise("r", pc.utf8_lpad(pa.array(number).cast(pa.string()), 9, "0"), "")
    label = pa.array(draw.random(size) < 0.25, mask=draw.random(size) < 0.1)
    columns = {
        "key": key,
        "at": pa.array(at).cast(UTC_TIME),
        "known": pa.array(at - np.timedelta64(2, "h")).cast(UTC_TIME),
        "label": label,
        "labelled": pc.if_else(label.is_valid(), pa.array(at + np.timedelta64(1, "D")).cast(UTC_TIME), pa.scalar(None, UTC_TIME)),
        "carrier": category([one + two for one in "ABCDE" for two in "XYZ"]),
        "origin": category(ORIGINS),
        "dest": category([a + b + c for a in "ABCDE" for b in "KLMNO" for c in "PQRS"]),
        "engine": category(ENGINES),
        "distance": pa.array(draw.uniform(100, 3000, size)),
        "minutes": pa.array(draw.uniform(30, 600, size), mask=draw.random(size) < 0.02),
        "humid": pa.array(draw.uniform(10, 100, size), mask=draw.random(size) < 0.02),
        "wind": pa.array(draw.gamma(2, 6, size)),
    }
    rows = _spoil(pa.table(columns), draw)
    return rows.append_column(DAY, pc.strftime(pa.array(at).cast(UTC_TIME), "%Y-%m-%d"))


def _spoil(rows: pa.Table, draw: np.random.Generator) -> pa.Table:
    """Break one row in a hundred in one of eight ways; every eighth breaks two rules."""
    bad = np.sort(draw.choice(rows.num_rows, int(rows.num_rows * BAD_SHARE), replace=False))
    how = draw.integers(0, 8, len(bad))
    changes = [
        ("distance", -5.0, how == 0),
        ("humid", 900.0, (how == 0) | (how == 1)),
        ("carrier", None, how == 2),
        ("origin", "BOS", how == 3),
        ("dest", "Boston", how == 4),
        ("key", "r000000000", how == 5),
        ("wind", 5000.0, how == 6),
        ("engine", "steam", how == 7),
    ]
    for name, value, which in changes:
        where = np.zeros(rows.num_rows, bool)
        where[bad[which]] = True
        changed = pc.if_else(pa.array(where), pa.scalar(value, rows.schema.field(name).type), rows[name])
        rows = rows.set_column(rows.column_names.index(name), name, changed)
    return rows


def polars_pass(rows: pa.Table) -> tuple[Any, Any, Any, Any]:
    """The same 25 rules written by hand as one lazy Polars query on the same Arrow columns.

    Returns: broken rows per rule, the values of the table rules, the good rows, the bad rows with a column per rule.
    """
    import polars as pl

    frame = pl.DataFrame(pl.from_arrow(rows))
    col = pl.col
    broken = {
        **{f"{name} present": col(name).is_null() for name in ("key", "at", "known", "carrier", "distance")},
        "key unique": col("key").is_duplicated() & col("key").is_not_null(),
        "key form": ~col("key").str.contains(r"^r\d{9}$"),
        "at > known": col("at") <= col("known"),
        "label": ~col("label").is_in([True, False]),
        "carrier form": ~col("carrier").str.contains("^[A-Z0-9]{2}$"),
        "origin": ~col("origin").is_in(ORIGINS),
        "dest form": ~col("dest").str.contains("^[A-Z]{3}$"),
        "engine": ~col("engine").is_in(ENGINES),
        "distance": ~col("distance").is_between(50, 6000),
        "minutes": ~col("minutes").is_between(20, 1200),
        "humid": ~col("humid").is_between(0, 110),
        "wind": ~col("wind").is_between(0, 300),
        "dest length": col("dest").str.len_chars() != 3,
    }
    whole = [
        pl.len().alias("rows"),
        col("origin").unique().implode(),
        col("carrier").n_unique(),
        col("minutes").null_count(),
        col("distance").mean(),
        col("label").drop_nulls().mode().implode(),
        col("wind").max(),
    ]
    named = [rule.fill_null(False).alias(f"broken: {name}") for name, rule in broken.items()]
    masks, values = pl.collect_all([frame.lazy().select(named), frame.lazy().select(whole)])
    bad = masks.select(pl.any_horizontal(pl.all())).to_series()
    return masks.sum(), values, frame.filter(~bad), pl.concat([frame.filter(bad), masks.filter(bad)], how="horizontal_extend")
