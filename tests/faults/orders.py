"""A shop's orders: a small problem on a real table (or real files), good for three days, then somebody breaks the fourth."""

import json
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import psycopg2
import pyarrow as pa

from ml import database, ingest, settings, validate
from ml.context import Context
from ml.errors import EvergreenError
from ml.ledger import Champion, Ledger
from ml.problem import Problem
from ml.records import Ingested
from ml.tables import DAY
from ml.window import Window

FIRST, BAD_DAY, NIGHT = date(2024, 3, 29), date(2024, 3, 31), "2024-04-01T02:00:00+00:00"  # clocks go forward on the 31st
PER_DAY = 40
ZONE = "Europe/Berlin"
COLUMNS = {
    "order_id": "text", "placed_at": "timestamptz", "known_at": "timestamptz", "returned": "boolean",
    "returned_at": "timestamptz", "amount": "double precision", "kind": "text", "note": "text", "express": "boolean",
    "due": "timestamptz", "postcode": "text",
}  # fmt: skip
FEATURES = {
    "amount": {"type": "number", "unit": "EUR"}, "kind": {"type": "category"}, "note": {"type": "text"},
    "express": {"type": "boolean"}, "due": {"type": "datetime"}, "postcode": {"type": "zip"},
}  # fmt: skip
RULES: list[tuple[str, dict[str, Any]]] = [
    ("expect_column_values_to_not_be_null", {"column": "order_id"}),
    ("expect_column_values_to_be_unique", {"column": "order_id"}),
    ("expect_column_values_to_match_regex", {"column": "order_id", "regex": "^o[0-9]+$"}),
    ("expect_column_values_to_not_be_null", {"column": "placed_at"}),
    ("expect_column_values_to_not_be_null", {"column": "amount"}),
    ("expect_column_values_to_be_between", {"column": "amount", "min_value": 0, "max_value": 10000}),
    ("expect_column_values_to_be_in_set", {"column": "kind", "value_set": ["book", "toy", "shoe"]}),
    ("expect_column_value_lengths_to_be_between", {"column": "note", "max_value": 5000}),
    ("expect_column_values_to_be_between",
     {"column": "due", "min_value": "2001-01-01T00:00:00+00:00", "max_value": "2100-01-01T00:00:00+00:00"}),
    ("expect_column_pair_values_a_to_be_greater_than_b",
     {"column_A": "returned_at", "column_B": "placed_at", "ignore_row_if": "either_value_is_missing"}),
]  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """What became of a night: an error's text, or the rows set aside with the rules they broke."""

    error: str
    quarantined: dict[str, list[str]]
    ingested: Ingested | None


class Shop:
    """The table, the problem and its store; `night()` ingests and validates as the nightly run does."""

    def __init__(self, home: Path, url: str, state: str, **source: Any) -> None:
        self.url, self.home = url, home
        database.migrate(state)
        (home / "expectations").mkdir(parents=True)
        suite = [{"type": kind, "kwargs": kwargs, "severity": "critical", "meta": {"why": "tests"}} for kind, kwargs in RULES]
        (home / "expectations" / "orders.raw.json").write_text(json.dumps({"name": "orders.raw", "expectations": suite}))
        (home / "clock").write_text(NIGHT)
        values = {"STORE": "store", "EXPECTATIONS": "expectations", "CLOCK_FILE": "clock", "PROBLEMS": "problems"}
        given = {f"EVERGREEN_{name}": str(home / value) for name, value in values.items()}
        self.settings = settings.read(given | {"EVERGREEN_SOURCE_URL": url, "EVERGREEN_DATABASE_URL": state})
        self.problem = make_problem(source or {"table": "orders"})
        self.ledger = Ledger(state)
        self.ledger.move("orders", to=Champion(1, "earlier", "0" * 64), expected=None, kind="promote", key="1", actor="tests")

    def context(self, run_key: str, window: str | None = None) -> Context:
        return Context(self.problem, self.settings, run_key, window=window)

    def sql(self, *statements: str) -> None:
        with closing(psycopg2.connect(self.url)) as connection, connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    def count(self, where: str = "true") -> int:
        with closing(psycopg2.connect(self.url)) as connection, connection.cursor() as cursor:
            cursor.execute(f"SELECT count(*) FROM orders WHERE {where}")
            return int((cursor.fetchone() or (0,))[0])

    def night(self, run_key: str, window: Window) -> Outcome:
        context = self.context(run_key, str(window))
        ingested = None
        try:
            ingested = ingest.run(context)
            validate.run(context)
        except EvergreenError as error:
            return Outcome(str(error), {}, ingested)
        rows = context.table("quarantine").read(window).to_pylist()
        return Outcome("", {str(row["order_id"]): row["_rules"] for row in rows}, ingested)

    def content(self, table: str, window: Window | None = None) -> list[dict[str, Any]]:
        one = self.context("look").table(table)  # type: ignore[arg-type]
        if not one.exists:
            return []
        rows = one.read(window or Window(date(1, 1, 1), date(9999, 12, 31)))
        # text of every value: NaN equals NaN here, and a column that is new and empty is no difference
        plain = [{name: repr(value) for name, value in row.items() if value is not None} for row in _safe(rows)]
        return sorted(plain, key=lambda row: (row[DAY], row.get("order_id", ""), repr(row)))


def _safe(rows: pa.Table) -> list[dict[str, Any]]:
    """Python rows; moments that Python cannot hold stay numbers."""
    for position, field in enumerate(rows.schema):
        if pa.types.is_timestamp(field.type):
            rows = rows.set_column(position, field.name, rows[field.name].cast(pa.int64()))
    return rows.to_pylist()


def make_problem(source: dict[str, Any]) -> Problem:
    times = {"event_time": "placed_at", "label_time": "returned_at", "available_at": "known_at", "timezone": ZONE}
    return Problem.model_validate(
        {
            "problem": {"name": "orders", "title": "Will it come back?", "task": "binary", "owner": "tests"},
            "source": {"key": "order_id", "label": "returned"} | times | source,
            "features": FEATURES,
            "contract": {"minimum_rows": 100},
            "validation": {"max_quarantined_share": 0.5},
        }
    )


def order(number: int, day: date) -> dict[str, Any]:
    """One good order; the same number and day give the same order."""
    at = f"{day} {8 + number % 12:02d}:{number % 60:02d}:00+00"
    kind = ("book", "toy", "shoe")[number % 3]
    return {
        "order_id": f"o{day:%m%d}{number:04d}", "placed_at": at, "known_at": at, "returned": number % 5 == 0,
        "returned_at": f"{day} 23:30:00+00", "amount": round(5 + (number * 7.3) % 90, 2), "kind": kind,
        "note": f"a {kind} please", "express": number % 2 == 0, "due": f"{day + timedelta(days=3)} 12:00:00+00",
        "postcode": f"1{number % 100:04d}",
    }  # fmt: skip


def orders(days: int = 3, per_day: int = PER_DAY) -> list[dict[str, Any]]:
    return [order(number, FIRST + timedelta(days=day)) for day in range(days) for number in range(per_day)]


def create(shop_sql: Callable[..., None], rows: list[dict[str, Any]]) -> None:
    """The table with these rows, readable by the read-only role."""
    columns = ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())
    values = ", ".join("(" + ", ".join(literal(row[name]) for name in COLUMNS) + ")" for row in rows)
    shop_sql(f"CREATE TABLE orders ({columns})", f"INSERT INTO orders VALUES {values}" if rows else "SELECT 1")


def literal(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bool | int | float):
        return str(value)
    return "'" + str(value).replace("'", "''") + "'"


def insert(**changes: Any) -> str:
    """SQL that adds one order of the last day with something changed."""
    row = order(7000 + len(str(changes)), BAD_DAY) | {"order_id": "o99"} | changes
    names = ", ".join(row)
    return f"INSERT INTO orders ({names}) VALUES ({', '.join(raw(value) for value in row.values())})"


@dataclass(frozen=True)
class Raw:
    """SQL that is used as it stands."""

    text: str


def raw(value: Any) -> str:
    return value.text if isinstance(value, Raw) else literal(value)


def at_night(shop: Shop, moment: str) -> Shop:
    (shop.home / "clock").write_text(moment)
    shop.settings = replace(shop.settings, clock_file=shop.home / "clock")
    return shop
