"""The request log: every answered row, as it was asked and as it was answered, in PostgreSQL."""

import io
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import psycopg2
import pyarrow as pa
import pyarrow.csv
from psycopg2.extensions import connection as Connection  # noqa: N812 - a class that psycopg2 spells small

from ml.database import connect, never_made
from ml.tables import ARROW_TYPES

COLUMNS = ("request_id", "position", "problem", "version", "served_at", "key", "row", "score", "decision", "several")
BLOCK_BYTES = 64 * 2**20  # a row must fit into one block, and no request is larger than half of it
SCHEMA = pa.schema(
    [
        ("request_id", pa.string()),
        ("position", pa.int32()),
        ("version", pa.int32()),
        ("served_at", pa.timestamp("us", "UTC")),
        ("key", pa.string()),
        ("score", pa.float64()),
        ("decision", pa.bool_()),
        ("several", pa.string()),
        ("row", pa.string()),
    ]
)


@dataclass(frozen=True)
class Request:
    """One answered request; the lists have one element per row, in the order of the request."""

    request_id: str
    problem: str
    version: int
    served_at: datetime
    keys: list[str | None]
    rows: list[dict[str, Any]]
    answers: list[dict[str, Any]]  # score, decision and scores, as `Scorer.answers` tells them
    arm: str = "champion"

    def only(self, places: Sequence[int]) -> "Request":
        """The same request with some of its rows."""
        return replace(
            self,
            keys=[self.keys[place] for place in places],
            rows=[self.rows[place] for place in places],
            answers=[self.answers[place] for place in places],
        )


@dataclass(frozen=True)
class Answered:
    """What a version answered: rows, requests, and the first and last moment."""

    num_rows: int
    num_requests: int
    first: datetime
    last: datetime


def append(connection: Connection, requests: Sequence[Request]) -> int:
    """Write requests by COPY in one transaction; returns the number of rows they hold.

    A request that is there already is left as it is: after a lost connection nobody knows whether the last batch was
    committed, so it is sent again.

    Raises: TransientError: the connection was lost. psycopg2.Error: the database refuses a value, or has no such table.
    """
    lines = [_line(values) for request in requests for values in _rows(request)]
    listed = ", ".join(COLUMNS)
    with connection, connection.cursor() as cursor:
        cursor.execute("CREATE TEMP TABLE IF NOT EXISTS arriving (LIKE request_log) ON COMMIT DELETE ROWS")
        cursor.copy_expert(f"COPY arriving ({listed}) FROM STDIN", io.StringIO("".join(lines)))
        cursor.execute(f"INSERT INTO request_log ({listed}) SELECT {listed} FROM arriving ON CONFLICT DO NOTHING")  # noqa: S608
    return len(lines)


def read(database_url: str, problem: str, start: datetime, end: datetime) -> pa.Table:
    """Rows answered from `start` up to, not including, `end`, oldest first; `row` holds the columns as JSON text, and
    `several` scores by name and decision where a model has several outputs.

    Raises: TransientError: the database is away. ConfigError: it refuses us.
    """
    query = (
        "COPY (SELECT request_id, position, version, to_char(served_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"
        " AS served_at, key, score, decision, several, row FROM request_log WHERE problem = %s AND served_at >= %s"
        " AND served_at < %s ORDER BY request_log.served_at, request_id, position) TO STDOUT (FORMAT csv, HEADER)"
    )
    answer = io.BytesIO()
    with closing(connect(database_url)) as connection, connection.cursor() as cursor:
        cursor.copy_expert(cursor.mogrify(query, (problem, start, end)), answer)
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


def several_of(answer: Mapping[str, Any]) -> str | None:
    """What the log's column `several` holds of an answer: scores by name and decision, nothing of a single output."""
    return json.dumps({"scores": answer["scores"], "decision": answer["decision"]}) if "scores" in answer else None


def scores_of(rows: pa.Table) -> npt.NDArray[np.float64]:
    """What was answered: shape (n,) with one output, (n, k) with several; rows of one version."""
    if rows.num_rows and rows["several"].null_count == 0:
        return np.asarray([list(json.loads(text)["scores"].values()) for text in rows["several"].to_pylist()], np.float64)
    return np.asarray(rows["score"].to_numpy(), np.float64)


def typed(values: Sequence[Any], kind: str) -> pa.Array:
    """Values of one column of logged rows, as the type that the problem file declares.

    Raises: ValueError: a value is none of it, or a moment without an offset.
    """
    try:
        if kind == "datetime":
            values = [None if value is None else datetime.fromisoformat(value) for value in values]
            naive = [str(moment) for moment in values if moment is not None and moment.tzinfo is None]
            if naive:
                raise ValueError(f"{naive[0]} has no offset")
        return pa.array(values, ARROW_TYPES[kind])
    except TypeError as error:
        raise ValueError(str(error)) from error


def find(database_url: str, problem: str, request_id: str) -> list[dict[str, Any]]:
    """The rows of one request in their order: position, version, served_at, key, score, decision, several; none when unknown.

    Raises: TransientError: the database is away. ConfigError: it refuses us, or has no request log.
    """
    names = ("position", "version", "served_at", "key", "score", "decision", "several")
    query = f"SELECT {', '.join(names)} FROM request_log WHERE problem = %s AND request_id = %s ORDER BY position"  # noqa: S608
    with closing(connect(database_url)) as connection, connection.cursor() as cursor:
        try:
            cursor.execute(query, (problem, request_id))
        except psycopg2.errors.UndefinedTable as error:
            raise never_made("request log") from error
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def answered(database_url: str, problem: str, versions: Sequence[int]) -> dict[int, Answered]:
    """How many rows each of some versions answered, and when; versions that answered none are left out.

    Raises: TransientError: the database is away. ConfigError: it refuses us.
    """
    query = (
        "SELECT version, count(*), count(DISTINCT request_id), min(served_at), max(served_at) FROM request_log"
        " WHERE problem = %s AND version = ANY(%s) GROUP BY version ORDER BY version"
    )
    with closing(connect(database_url)) as connection, connection.cursor() as cursor:
        cursor.execute(query, (problem, list(versions)))
        return {version: Answered(*about) for version, *about in cursor.fetchall()}


def about(database_url: str, problem: str, keys: Collection[str], texts: Collection[str], *, remove: bool = False) -> int:
    """How many rows carry one of the keys or hold one of the texts; removes them when asked to.

    Raises: TransientError: the database is away. ConfigError: it refuses us.
    """
    what = "DELETE FROM request_log" if remove else "SELECT FROM request_log"
    inside = "EXISTS (SELECT FROM unnest(%s::text[]) AS held WHERE strpos(row, held) > 0)"
    spelt = [json.dumps(text, ensure_ascii=False)[1:-1] for text in texts]
    with closing(connect(database_url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(f"{what} WHERE problem = %s AND (key = ANY(%s) OR {inside})", [problem, list(keys), spelt])
        return int(cursor.rowcount)


def _rows(request: Request) -> Iterator[tuple[object, ...]]:
    served_at = request.served_at.astimezone(UTC).isoformat()
    for position, (key, row, answer) in enumerate(zip(request.keys, request.rows, request.answers, strict=True)):
        score, decision = answer["score"], answer["decision"]
        yield (
            request.request_id,
            position,
            request.problem,
            request.version,
            served_at,
            key,
            json.dumps(row, ensure_ascii=False, allow_nan=False),
            None if score is None else repr(score),
            decision if isinstance(decision, bool) else None,
            several_of(answer),
        )


def _line(values: tuple[object, ...]) -> str:
    r"""One line of COPY's text format: tabs between values, \N for null."""
    return "\t".join(r"\N" if value is None else _escaped(str(value)) for value in values) + "\n"


_ESCAPES = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})


def _escaped(text: str) -> str:
    return text.translate(_ESCAPES)
