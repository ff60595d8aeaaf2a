"""The same rows as CSV, JSON lines and Parquet, plain and packed, on disk or in a bucket."""

import gzip
import io
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ml import problem as problems
from ml.problem import Problem
from ml.settings import PROJECT
from ml.source import files
from ml.window import Window

WINDOW, NOW = Window.parse("2013-01-05"), datetime(2013, 1, 6, 8, tzinfo=UTC)
FLIGHTS = problems.load("flights", PROJECT / "ml" / "problems")
TYPES = {"late_15": pa.bool_(), "distance": pa.float64(), "carrier": pa.string(), "flight_id": pa.string()} | dict.fromkeys(
    ("sched_dep", "outcome_at", "available_at", "updated"), pa.timestamp("us", "UTC")
)
Row = dict[str, Any]


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def row(key: str | None, event: str | None = "2013-01-05T12:00:00-05:00", **changes: Any) -> Row:
    """A flight of the window, known in time, whose label is not."""
    given = {"available_at": at("2013-01-05T11:00:00-05:00"), "late_15": None, "outcome_at": None, "carrier": "UA"}
    return {"flight_id": key, "sched_dep": event and at(event), **given, "distance": 100.0, **changes}


ROWS = [
    row("a", "2013-01-05T00:00:00-05:00", late_15=True, outcome_at=at("2013-01-06T02:00:00-05:00")),
    row("b", "2013-01-05T23:59:00-05:00", late_15=True, outcome_at=at("2013-01-06T12:00:00-05:00"), carrier=""),
    row("c", "2013-01-06T00:00:00-05:00"),
    row("d", available_at=at("2013-02-01T00:00:00-05:00")),
    row("e", late_15=False, outcome_at=at("2013-01-06T02:00:00-05:00"), carrier=None, distance=None),
    row("f", None, carrier='quo"te,\nline', distance=float("nan")),
    row("g", available_at=None, carrier="äöü 漢", distance=float("-inf")),
]
SEEN = ["a", "b", "e", "f", "g"]  # c is tomorrow's, d is not known yet


def problem(pattern: str, **source: Any) -> Problem:
    """Flights with three features, from files."""
    kind = "s3" if pattern.startswith("s3://") else "files"
    about = FLIGHTS.source.model_copy(update={"kind": kind, "table": None, "pattern": pattern, **source})
    features = {name: FLIGHTS.features[name] for name in ("carrier", "distance", "sched_dep")}
    return FLIGHTS.model_copy(update={"source": about, "features": features})


def as_csv(rows: Sequence[Row], columns: Sequence[str] = ()) -> bytes:
    """As a database exports it: nothing for missing, "" for an empty text."""

    def cell(value: Any) -> str:
        if value is None:
            return ""
        if isinstance(value, str):
            return '"' + value.replace('"', '""') + '"'
        return (
            value.isoformat(" ") if isinstance(value, datetime) else str(value).lower() if isinstance(value, bool) else str(value)
        )

    names = columns or list(rows[0])
    lines = [",".join(names), *(",".join(cell(one.get(name)) for name in names) for one in rows)]
    return ("\n".join(lines) + "\n").encode()


def as_jsonl(rows: Sequence[Row]) -> bytes:
    return b"".join(json.dumps(one, default=lambda moment: moment.isoformat()).encode() + b"\n" for one in rows)


def as_parquet(rows: Sequence[Row], types: dict[str, pa.DataType] = TYPES, **options: Any) -> bytes:
    table = pa.table({name: pa.array([one[name] for one in rows], types.get(name)) for name in rows[0]})
    out = io.BytesIO()
    pq.write_table(table, out, **options)
    return out.getvalue()


def zstd(content: bytes) -> bytes:
    return pa.compress(content, "zstd", asbytes=True)


FORMATS: dict[str, Callable[[Sequence[Row]], bytes]] = {
    ".csv": as_csv,
    ".csv.gz": lambda rows: gzip.compress(as_csv(rows)),
    ".csv.zst": lambda rows: zstd(as_csv(rows)),
    ".jsonl": as_jsonl,
    ".jsonl.gz": lambda rows: gzip.compress(as_jsonl(rows)),
    ".ndjson.zst": lambda rows: zstd(as_jsonl(rows)),
    ".parquet": as_parquet,
}


def read(about: Problem, window: Window = WINDOW, now: datetime = NOW, **more: Any) -> pa.Table:
    with files.read(about, window, now=now, **more) as rows:
        return pa.Table.from_batches(list(rows.batches), rows.schema)


def keys(table: pa.Table) -> list[str]:
    return sorted(table["flight_id"].to_pylist(), key=str)
