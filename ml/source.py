"""Reading production: one COPY of the declared columns and the window's days, typed as the problem file says."""

import difflib
import tempfile
from collections.abc import Mapping
from contextlib import closing
from datetime import datetime
from typing import IO, TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.csv

from ml import database
from ml.errors import DataError
from ml.problem import Problem
from ml.tables import ARROW_TYPES, DAY
from ml.window import Window

if TYPE_CHECKING:
    from psycopg2 import extensions
    from psycopg2.sql import Composable

ARROW = ARROW_TYPES | {"key": pa.string()}
NUMBERS = {"smallint", "integer", "bigint", "real", "double precision", "numeric"}
TEXTS = {"text", "character varying", "character"}
MOMENTS = {"timestamp with time zone", "timestamp without time zone", "date"}
ACCEPTED = {  # what PostgreSQL may call a column of each type
    "number": NUMBERS,
    "boolean": {"boolean"},
    "datetime": MOMENTS,
    "category": TEXTS | NUMBERS | {"boolean"},
    "text": TEXTS,
    "zip": TEXTS,
    "key": TEXTS | NUMBERS | {"uuid"},
}


def columns(problem: Problem) -> dict[str, str]:
    """Every column that is read, with its type: key, times, label, then the features."""
    source = problem.source
    fixed = {source.key: "key", source.event_time: "datetime", source.label_time: "datetime", source.label: "boolean"}
    if source.available_at:
        fixed[source.available_at] = "datetime"
    return fixed | {name: feature.type for name, feature in problem.features.items() if name not in fixed}


def read(url: str, problem: Problem, window: Window, *, now: datetime, also: Mapping[str, str] | None = None) -> pa.Table:
    """Rows of the window that were known at `now`; what became known later (a row, a label) is not seen.

    Args:
        also: further columns with their types, read where the table still has them so.
    Returns: the declared columns and `_day`, the day of the event in the problem's zone.
    Raises:
        DataError: table or column missing, another type than declared, or rows that no day can be given.
        ConfigError: the database refuses this user. TransientError: it is away.
    """
    wanted = columns(problem)
    with closing(database.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute("SET TIME ZONE %s", [problem.source.timezone])  # a time without zone is local to the problem
        catalog = _catalog(connection, problem.source.table)
        _check(catalog, problem.source.table, wanted)
        wanted |= {
            name: kind for name, kind in (also or {}).items() if name not in wanted and catalog.get(name) in ACCEPTED[kind]
        }
        _refuse_timeless(connection, problem)
        with tempfile.TemporaryFile() as file:  # a file, not memory: a first night may read years
            cursor.copy_expert(_copy(problem, wanted, window, now).as_string(connection), file)
            file.seek(0)
            return _parse(file, wanted)


def _catalog(connection: "extensions.connection", table: str) -> dict[str, str]:
    """Columns of a table with PostgreSQL's names of their types."""
    schema, _, name = table.rpartition(".")
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = %s AND table_schema = %s",
            [name, schema or "public"],
        )
        found = dict(cursor.fetchall())
        if found:
            return found
        cursor.execute(
            "SELECT table_schema || '.' || table_name FROM information_schema.tables"
            " WHERE table_schema NOT IN ('pg_catalog', 'information_schema')"
        )
        tables = sorted(row[0] for row in cursor.fetchall())
    near = difflib.get_close_matches(f"{schema or 'public'}.{name}", tables, n=1)
    raise DataError(
        f"The production database has no table {table!r} that this user may see"
        + (f"; did you mean {near[0]!r}" if near else "")
        + f". It has {tables or 'none'}. Set [source] table, or grant SELECT on it."
    )


def _check(catalog: Mapping[str, str], table: str, wanted: Mapping[str, str]) -> None:
    """Raise where the table is not what the problem file says."""
    for name, kind in wanted.items():
        if name not in catalog:
            near = difflib.get_close_matches(name, list(catalog), n=1)
            raise DataError(
                f"Table {table} has no column {name!r}; it has {sorted(catalog)}. "
                + (f"Was it renamed to {near[0]!r}? " if near else "")
                + "Name the column as the source does in the problem file, or ask the owner of the table."
            )
        if catalog[name] not in ACCEPTED[kind]:
            raise DataError(
                f"Column {name!r} of table {table} is {catalog[name]}, but the problem file says {kind}, which takes "
                f"{', '.join(sorted(ACCEPTED[kind]))}. Its type changed at the source, or the problem file is wrong."
            )


def _refuse_timeless(connection: "extensions.connection", problem: Problem) -> None:
    """A row without a time would fall into no window and be lost without a word."""
    from psycopg2 import sql

    query = sql.SQL("SELECT count(*) FROM {} WHERE {} IS NULL").format(_table(problem), _moment(problem))
    with connection.cursor() as cursor:
        cursor.execute(query)
        (count,) = cursor.fetchone() or (0,)
    if count:
        fields = [problem.source.event_time, problem.source.available_at]
        raise DataError(
            f"{count} rows of table {problem.source.table} have no {' and no '.join(filter(None, fields))}, so no "
            "night would ever read them. Fill the time at the source; with [source] available_at they go to quarantine."
        )


def _table(problem: Problem) -> "Composable":
    from psycopg2 import sql

    return sql.SQL(".").join(sql.Identifier(part) for part in problem.source.table.split("."))


def _moment(problem: Problem) -> "Composable":
    """What decides a row's day: its event time; without one, when it became known, so that validation meets it."""
    from psycopg2 import sql

    fields = [problem.source.event_time, problem.source.available_at]
    casts = [sql.SQL("{}::timestamptz").format(sql.Identifier(field)) for field in fields if field]
    return sql.SQL("coalesce({})").format(sql.SQL(", ").join(casts))


def _copy(problem: Problem, wanted: Mapping[str, str], window: Window, now: datetime) -> "Composable":
    from psycopg2 import sql

    source, (start, end) = problem.source, window.instants(problem.source.timezone)
    select = [_column(problem, name, kind, now) for name, kind in wanted.items()]
    day = sql.SQL("to_char({}, 'YYYY-MM-DD') AS {}").format(_moment(problem), sql.Identifier(DAY))
    known = [
        sql.SQL("{} >= {}").format(_moment(problem), sql.Literal(start)),
        sql.SQL("{} < {}").format(_moment(problem), sql.Literal(end)),
    ]
    if source.available_at:
        known.append(sql.SQL("({0} IS NULL OR {0} <= {1})").format(sql.Identifier(source.available_at), sql.Literal(now)))
    return sql.SQL("COPY (SELECT {} FROM {} WHERE {} ORDER BY {}, {}) TO STDOUT WITH (FORMAT csv, HEADER)").format(
        sql.SQL(", ").join([*select, day]),
        _table(problem),
        sql.SQL(" AND ").join(known),
        sql.Identifier(DAY),
        sql.Identifier(source.key),
    )


def _column(problem: Problem, name: str, kind: str, now: datetime) -> "Composable":
    from psycopg2 import sql

    value: Any = sql.Identifier(name)
    if kind == "datetime":
        value = sql.SQL("to_char({}::timestamptz AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')").format(value)
    elif kind in ("category", "text", "zip", "key"):
        value = sql.SQL("{}::text").format(value)  # as a client would write it: true, not t; no padding
    if name in (problem.source.label, problem.source.label_time):
        known = sql.SQL("{} <= {}").format(sql.Identifier(problem.source.label_time), sql.Literal(now))
        value = sql.SQL("CASE WHEN {} THEN {} END").format(known, value)
    return sql.SQL("{} AS {}").format(value, sql.Identifier(name))


def _parse(file: IO[bytes], wanted: Mapping[str, str]) -> pa.Table:
    """CSV of COPY as Arrow: an unquoted empty cell is NULL, a quoted one is ''."""
    types = {name: ARROW[kind] for name, kind in wanted.items()} | {DAY: pa.string()}
    options = pa.csv.ConvertOptions(
        column_types=types,
        null_values=[""],
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
        true_values=["t"],
        false_values=["f"],
        timestamp_parsers=["%Y-%m-%dT%H:%M:%S.%fZ", pa.csv.ISO8601],
    )
    parsing = pa.csv.ParseOptions(newlines_in_values=True)
    return pa.csv.read_csv(file, parse_options=parsing, convert_options=options)
