"""A table in PostgreSQL: COPY over several connections that all see one moment of it."""

import difflib
import itertools
from collections.abc import Generator, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from datetime import datetime
from typing import Any

import psycopg2
import pyarrow as pa
from psycopg2 import extensions, sql
from psycopg2.sql import Composable

from ml import database
from ml.errors import DataError
from ml.problem import Problem
from ml.source.common import Rows, columns, refuse_missing, schema_of
from ml.source.copies import SESSION, Copy
from ml.source.pieces import Piece, Pieces
from ml.source.query import ACCEPTED, Query, named
from ml.source.streams import Stream, interleaved
from ml.window import Window, local_day

STREAM_ROWS = 50_000  # with fewer rows each, several streams cost more than they gain
MATERIALISED = """
    SELECT attname, CASE WHEN kind.typnamespace <> 'pg_catalog'::regnamespace OR kind.typcategory = 'A' THEN kind.typname
                    ELSE format_type(kind.oid, NULL) END
    FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid JOIN pg_type one ON one.oid = atttypid
    JOIN pg_type kind ON kind.oid = CASE one.typtype WHEN 'd' THEN one.typbasetype ELSE one.oid END
    WHERE relkind = 'm' AND relname = %s AND relnamespace = to_regnamespace(quote_ident(%s)) AND attnum > 0
        AND NOT attisdropped AND has_column_privilege(pg_class.oid, attnum, 'SELECT')
    ORDER BY attnum"""  # information_schema has no materialised views


@contextmanager
def read(
    url: str,
    problem: Problem,
    window: Window,
    *,
    now: datetime,
    also: Mapping[str, str] | None = None,
    since: datetime | None = None,
) -> Iterator[Rows]:
    """See `ml.source.read`; everything comes from one moment of the database."""
    wanted = columns(problem)
    with ExitStack() as opened:
        leader = opened.enter_context(_session(url))
        types = _catalog(leader, problem.source.table or "")
        wanted |= {name: kind for name, kind in (also or {}).items() if name not in wanted and types.get(name) in ACCEPTED[kind]}
        query = Query(problem, wanted, types, window.instants(problem.source.timezone), now)
        rows = Rows(schema_of(wanted), types, iter(()))
        batches = _batches(url, leader, query, rows, Pieces(problem, wanted, window), since)
        opened.callback(batches.close)  # before the leader: its snapshot ends with it
        rows.batches = batches
        yield rows


@contextmanager
def _session(url: str) -> Iterator[extensions.connection]:
    with database.reading(url) as connection, connection.cursor() as cursor:
        cursor.execute(";".join(SESSION))
        yield connection


def _batches(
    url: str, leader: extensions.connection, query: Query, rows: Rows, pieces: Pieces, since: datetime | None
) -> Generator[pa.RecordBatch, None, None]:
    _check(query)
    with _telling(query), leader.cursor() as cursor:
        if since and query.problem.source.available_at:
            rows.num_late, first = _row(cursor, query.late(since))
            rows.first_late = first and local_day(first, query.problem.source.timezone)
        parts = [part.as_string(leader) for part in _parts(cursor, query)]
        (snapshot,) = _row(cursor, sql.SQL("SELECT pg_export_snapshot()"))
    place, table = _same_server(url, leader), query.problem.source.table or ""
    num_timeless = 0
    with closing(interleaved([_stream(Copy(place, snapshot, part, table), pieces) for part in parts])) as found:
        for piece in found:
            rows.num_deleted += piece.num_deleted
            num_timeless += piece.num_timeless
            if piece.rows.num_rows:
                yield piece.rows
    _refuse_timeless(num_timeless, query)


def _same_server(url: str, leader: extensions.connection) -> str:
    """Where the leader got through: of several hosts only one has its snapshot, and each library has its own default socket."""
    return extensions.make_dsn(database.libpq(url), host=leader.info.host, port=leader.info.port)


def _stream(copy: Copy, pieces: Pieces) -> Stream[Piece]:
    def made() -> Generator[Piece, None, None]:
        with closing(copy.batches()) as batches:
            yield from map(pieces.piece, batches)

    return Stream(made, copy.cancel)


def _parts(cursor: extensions.cursor, query: Query) -> list[Composable]:
    """What each stream selects; together exactly the rows of the query.

    A scan of the whole table is cut by the place of the rows in it, so that each page is read once; where an index finds the
    rows, the span is cut. Small results, views, and the search for the newest version of each key take one stream.
    """
    source = query.problem.source
    cursor.execute(
        "SELECT relkind, pg_relation_size(oid) / current_setting('block_size')::int, has_table_privilege(oid, 'SELECT')"
        " FROM pg_class WHERE oid = to_regclass(%s)",
        [query.table.as_string(cursor)],
    )
    kind, pages, whole = cursor.fetchone() or ("v", 0, False)
    ((explained,),) = _row(cursor, sql.SQL("EXPLAIN (FORMAT JSON) {}").format(query.rows()))
    plan = explained["Plan"]
    count = min(source.streams, int(plan["Plan Rows"]) // STREAM_ROWS)
    if count < 2 or source.updated_at or kind not in ("r", "m", "p"):
        return [query.rows()]
    if kind != "p" and whole and plan["Node Type"] == "Seq Scan":
        return [query.rows(part=_pages(pages, number, count)) for number in range(count)]
    start, end = query.span
    cuts = [start + (end - start) / count * number for number in range(count)] + [end]
    return [query.rows(span=span) for span in itertools.pairwise(cuts)]


def _pages(pages: int, number: int, count: int) -> Composable:
    """The condition of one of `count` parts of a table; the last has no end, because the table may have grown."""
    first, last = (f"({pages * place // count},0)" for place in (number, number + 1))
    begun = sql.SQL("ctid >= {}::tid").format(sql.Literal(first))
    return begun if number == count - 1 else sql.SQL("{} AND ctid < {}::tid").format(begun, sql.Literal(last))


def _catalog(connection: extensions.connection, table: str) -> dict[str, str]:
    """Columns of a table with PostgreSQL's names of their types, in the table's order."""
    schema, name = named(table)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT column_name, CASE WHEN data_type IN ('USER-DEFINED', 'ARRAY') THEN udt_name ELSE data_type END"
            " FROM information_schema.columns WHERE table_name = %s AND table_schema = %s ORDER BY ordinal_position",
            [name, schema],
        )
        found = dict(cursor.fetchall())
        if not found:
            cursor.execute(MATERIALISED, [name, schema])
            found = dict(cursor.fetchall())
        if found:
            return found
        cursor.execute(
            "SELECT table_schema || '.' || table_name FROM information_schema.tables"
            " WHERE table_schema NOT IN ('pg_catalog', 'information_schema')"
            " UNION SELECT schemaname || '.' || matviewname FROM pg_matviews"
        )
        tables = sorted(row[0] for row in cursor.fetchall())
    near = difflib.get_close_matches(f"{schema}.{name}", tables, n=1)
    raise DataError(
        f"The production database has no table {table!r} that this user may see"
        + (f"; did you mean {near[0]!r}" if near else "")
        + f". It has {tables or 'none'}. Set [source] table, or grant SELECT on it."
    )


def _check(query: Query) -> None:
    """Raise where the table is not what the problem file says."""
    table, types = query.problem.source.table, query.types
    for name, kind in query.checked.items():
        refuse_missing(f"Table {table}", [name], types)
        if types[name] not in ACCEPTED[kind]:
            raise DataError(
                f"Column {name!r} of table {table} is {types[name]}, but the problem file says {kind}, which takes "
                f"{', '.join(sorted(ACCEPTED[kind]))}. Its type changed at the source, or the problem file is wrong."
            )


def _refuse_timeless(count: int, query: Query) -> None:
    """Rows without a time would fall into no window and be lost without a word."""
    source = query.problem.source
    if count:
        fields = [source.event_time, source.available_at]
        raise DataError(
            f"{count} rows of table {source.table} have no {' and no '.join(filter(None, fields))}, so no night would ever read "
            "them. Fill the time at the source; with [source] available_at they go to quarantine."
        )


def _row(cursor: extensions.cursor, query: Composable) -> tuple[Any, ...]:
    cursor.execute(query)
    return cursor.fetchone() or ()


@contextmanager
def _telling(query: Query) -> Iterator[None]:
    """What PostgreSQL itself cannot do with the rows, such as a view that divides by zero.

    Raises: DataError
    """
    try:
        yield
    except psycopg2.Error as error:
        told = " ".join(str(error).split())
        raise DataError(f"PostgreSQL cannot read table {query.problem.source.table}: {told}. Mend the table or view.") from error
