"""The request log as a table in PostgreSQL, a partition for each day of UTC."""

import io
import json
from collections.abc import Collection, Iterable, Sequence
from contextlib import closing
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import psycopg2
import pyarrow as pa
import pyarrow.csv
from psycopg2.extensions import connection as Connection  # noqa: N812 - a class that psycopg2 spells small

from ml.database import connect, never_made
from ml.requests import files
from ml.requests.record import (
    COLUMNS,
    KEY,
    PROBLEM,
    ROW,
    SCHEMA,
    SERVED_AT,
    SHADOW,
    Answered,
    Logged,
    Request,
    answer_of,
    fields,
    lines,
    unescaped,
)  # fmt: skip
from ml.requests.spool import scrub

BLOCK_BYTES = 64 * 2**20  # a row must fit into one block, and no request is larger than half of it
LOCK = 0x5245_514C  # any number that is ours: first of a pair of advisory locks
DAYS, ERASING = 1, 2  # second: of those who make partitions, and of an erasure against rows on their way
LISTED = ", ".join(COLUMNS)


def append(connection: Connection, requests: Sequence[Request]) -> int:
    """Write requests by COPY in one transaction; returns the number of rows they hold.

    Raises: as `append_lines`.
    """
    append_lines(connection, b"".join(lines(request) for request in requests))
    return sum(len(request.rows) for request in requests)


def append_lines(connection: Connection, data: bytes) -> None:
    """Write rows as `lines` made them; all or none.

    A row that is there already (request, position and arm) is left as it is: after a lost connection nobody knows whether
    the last batch was committed, so it is sent again. A day without a partition gets one.

    Raises: TransientError: the connection was lost. psycopg2.Error: the database refuses a value, or has no such table.
    """
    try:
        _copy(connection, data)
    except psycopg2.errors.CheckViolation:  # "no partition of relation": once a day
        add_days(connection, _days(data))
        _copy(connection, data)


def share_lock(connection: Connection) -> None:
    """Begin a transaction that no erasure runs beside: call it before rows are read from a file to be written."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock_shared(%s, %s)", (LOCK, ERASING))


def add_days(connection: Connection, days: Iterable[date]) -> None:
    """Make the partitions of days that have none; several at once do not clash, and nobody who writes or reads waits.

    A partition that is made aside and then attached takes a weak lock on the log; one made in place would take the strongest.
    """
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", (LOCK, DAYS))
        for day in sorted(days):
            name = f"request_log_{day:%Y%m%d}"
            cursor.execute("SELECT to_regclass(%s)", (name,))
            if cursor.fetchone() == (None,):
                start = datetime.combine(day, time(), UTC)
                cursor.execute(f"CREATE TABLE {name} (LIKE request_log INCLUDING DEFAULTS)")
                cursor.execute(
                    f"ALTER TABLE request_log ATTACH PARTITION {name} FOR VALUES FROM (%s) TO (%s)",
                    (start, start + timedelta(days=1)),
                )


def read(database_url: str, problem: str, start: datetime, end: datetime, *, shadow: bool = False, rows: bool = True) -> pa.Table:
    """Rows answered from `start` up to, not including, `end`, oldest first; `row` holds the columns as JSON text, and
    `several` scores by name and decision where a model has several outputs. Where the state is kept in SQLite, see `files`.

    Args:
        shadow: also what a model answered in the shadow of the one that was heard.
        rows: False: without what was asked, which is most of the bytes; `row` is null.
    Raises: TransientError: the database is away. ConfigError: it refuses us.
    """
    if database_url.startswith("sqlite"):
        return files.read(database_url, problem, start, end, rows=rows)
    query = (
        "COPY (SELECT request_id, position, version, to_char(served_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"
        " AS served_at, key, score, decision, several, CASE WHEN %s THEN row END AS row, arm FROM request_log WHERE problem = %s"
        " AND served_at >= %s AND served_at < %s AND (%s OR arm <> %s) ORDER BY request_log.served_at, request_id, position, arm)"
        " TO STDOUT (FORMAT csv, HEADER)"
    )
    answer = io.BytesIO()
    with closing(connect(database_url)) as connection, connection.cursor() as cursor:
        cursor.copy_expert(cursor.mogrify(query, (rows, problem, start, end, shadow, SHADOW)), answer)
    answer.seek(0)
    return pyarrow.csv.read_csv(
        answer,
        read_options=pyarrow.csv.ReadOptions(block_size=BLOCK_BYTES),
        parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types=SCHEMA,
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,  # keeps an empty key apart from no key
            null_values=[""],
            true_values=["t"],
            false_values=["f"],
        ),
    )


def rows_of(database_url: str, problem: str, answers: pa.Table) -> list[str]:
    """What was asked in some answers that `read` gave without it, as JSON text in their order; memory grows with these only.

    Raises: TransientError: the database is away. ConfigError: it refuses us, or has no request log.
    """
    if database_url.startswith("sqlite"):
        return files.rows_of(database_url, problem, answers)
    query = (
        "SELECT log.row FROM unnest(%s::text[], %s::int[], %s::text[], %s::timestamptz[]) WITH ORDINALITY"
        " AS chosen(request_id, position, arm, served_at, place) JOIN request_log AS log"
        " ON (log.request_id, log.position, log.arm, log.served_at) ="
        " (chosen.request_id, chosen.position, chosen.arm, chosen.served_at)"
        " WHERE problem = %s AND log.served_at >= %s AND log.served_at <= %s ORDER BY place"
    )
    names = ("request_id", "position", "arm", "served_at")
    ids, positions, arms, times = (answers[name].to_pylist() for name in names)
    span = (min(times), max(times)) if times else (None, None)  # so that only these days' partitions are looked at
    return [row for (row,) in _fetched(database_url, query, (ids, positions, arms, times, problem, *span))]


def find(database_url: str, problem: str, request_id: str) -> list[dict[str, Any]]:
    """The rows of one request in their order: position, version, served_at, key, score, decision, several; none when unknown.

    Raises: TransientError: the database is away. ConfigError: it refuses us, or has no request log.
    """
    names = ("position", "version", "served_at", "key", "score", "decision", "several")
    query = (
        f"SELECT {', '.join(names)} FROM request_log"  # noqa: S608  # ours  # nosec B608
        " WHERE problem = %s AND request_id = %s AND arm <> %s ORDER BY position"
    )
    return [dict(zip(names, row, strict=True)) for row in _fetched(database_url, query, (problem, request_id, SHADOW))]


def newest(database_url: str, problem: str, most: int) -> list[Logged]:
    """The rows answered last, oldest first, each once: a shadow's answer reached nobody.

    None where the state is kept in SQLite, which has no request log.

    Raises: TransientError: the database is away. ConfigError: it refuses us, or has no request log.
    """
    if database_url.startswith("sqlite"):
        return []
    query = (
        "SELECT version, served_at, key, row, score, decision, several FROM request_log WHERE problem = %s AND arm <> %s"
        " ORDER BY served_at DESC, request_id, position LIMIT %s"
    )
    found = _fetched(database_url, query, (problem, SHADOW, most))
    return [
        Logged(version, served_at, key, json.loads(row), answer_of(*answer))
        for version, served_at, key, row, *answer in found[::-1]
    ]


def _fetched(database_url: str, query: str, values: tuple[object, ...]) -> list[tuple[Any, ...]]:
    with closing(connect(database_url)) as connection, connection.cursor() as cursor:
        try:
            cursor.execute(query, values)
        except psycopg2.errors.UndefinedTable as error:
            raise never_made("request log") from error
        return cursor.fetchall()


def answered(database_url: str, problem: str, versions: Sequence[int]) -> dict[int, Answered]:
    """How many rows each of some versions answered, and when; versions that answered none, or only unheard, are left out.

    Raises: TransientError: the database is away. ConfigError: it refuses us.
    """
    query = (
        "SELECT version, count(*), count(DISTINCT request_id), min(served_at), max(served_at) FROM request_log"
        " WHERE problem = %s AND version = ANY(%s) AND arm <> %s GROUP BY version ORDER BY version"
    )
    with closing(connect(database_url)) as connection, connection.cursor() as cursor:
        cursor.execute(query, (problem, list(versions), SHADOW))
        return {version: Answered(*about) for version, *about in cursor.fetchall()}


def about(
    database_url: str, spool: Path, problem: str, keys: Collection[str], texts: Collection[str], *, remove: bool = False
) -> int:
    """How many rows of any arm carry one of the keys or hold one of the texts; removes them when asked to.

    Args:
        spool: folder of rows on their way into the table; what lies there counts and goes as well.
    Raises: TransientError: the database is away. ConfigError: it refuses us.
    """
    what = "DELETE FROM request_log" if remove else "SELECT FROM request_log"
    inside = "EXISTS (SELECT FROM unnest(%s::text[]) AS held WHERE strpos(row, held) > 0)"
    spelt = [json.dumps(text, ensure_ascii=False)[1:-1] for text in texts]
    with closing(connect(database_url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", (LOCK, ERASING))  # no row is between file and table now
        held = [text.encode() for text in spelt]
        num_rows = scrub(spool, lambda line: _is_about(line, problem, set(keys), held), remove=remove)
        cursor.execute(f"{what} WHERE problem = %s AND (key = ANY(%s) OR {inside})", [problem, list(keys), spelt])
        return num_rows + int(cursor.rowcount)


def _copy(connection: Connection, data: bytes) -> None:
    """Straight into the log; through a table aside, at twice the price, only when some rows are there already."""
    try:
        with connection, connection.cursor() as cursor:
            cursor.copy_expert(f"COPY request_log ({LISTED}) FROM STDIN", io.BytesIO(data))
    except psycopg2.errors.UniqueViolation:
        with connection, connection.cursor() as cursor:
            cursor.execute("CREATE TEMP TABLE arriving (LIKE request_log) ON COMMIT DROP")
            cursor.copy_expert(f"COPY arriving ({LISTED}) FROM STDIN", io.BytesIO(data))
            cursor.execute(f"INSERT INTO request_log ({LISTED}) SELECT {LISTED} FROM arriving ON CONFLICT DO NOTHING")  # noqa: S608  # ours  # nosec B608


def _days(data: bytes) -> set[date]:
    moments = (fields(line)[SERVED_AT].decode() for line in data.splitlines())
    return {datetime.fromisoformat(moment).astimezone(UTC).date() for moment in set(moments)}


def _is_about(line: bytes, problem: str, keys: Collection[str], texts: Sequence[bytes]) -> bool:
    values = fields(line)
    if len(values) <= ROW or values[PROBLEM] != problem.encode():
        return False
    row = values[ROW].replace(rb"\\", b"\\")
    return unescaped(values[KEY]) in keys or any(text in row for text in texts)
