"""What people and programs told the service about its answers: lines on the way, then a table in PostgreSQL."""

import io
import json
from collections.abc import Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg2
from psycopg2.extensions import connection as Connection  # noqa: N812 - a class that psycopg2 spells small

from ml.database import connect, never_made
from ml.requests.record import SHADOW, answer_of, escaped, fields, unescaped
from ml.requests.spool import scrub

COLUMNS = (
    *("problem", "id", "key", "request_id", "position", "verdict", "label", "source", "labeller", "received_at", "ordinal"),
)
PROBLEM, KEY, REQUEST, LABELLER = (COLUMNS.index(name) for name in ("problem", "key", "request_id", "labeller"))
LISTED = ", ".join(COLUMNS)
FOLDER = "feedback"  # of the spool's folder: these lines are others than those of the request log


@dataclass(frozen=True)
class Said:
    """One thing that was told: a `verdict` on an answer, right or wrong, or what the label is (JSON text)."""

    problem: str
    id: str
    key: str | None
    request_id: str | None
    position: int
    verdict: str | None
    label: str | None
    source: str
    labeller: str
    received_at: datetime
    ordinal: int


@dataclass(frozen=True)
class Found:
    """The answered row that something was told about."""

    request_id: str
    position: int
    key: str | None
    decision: Any


def line(said: Said) -> bytes:
    """One line of COPY's text format, in the order of COLUMNS.

    Raises: ValueError: a text that no database can hold, half a surrogate pair say.
    """
    values = (getattr(said, name) for name in COLUMNS)
    told = (value.isoformat() if isinstance(value, datetime) else value for value in values)
    return "\t".join("\\N" if value is None else escaped(str(value)) for value in told).encode() + b"\n"


def append_lines(connection: Connection, data: bytes) -> None:
    """Write what `line` made; what is there already, by its id, is left as it is.

    Raises: TransientError: the connection was lost. psycopg2.Error: the database refuses a value, or has no such table.
    """
    with connection, connection.cursor() as cursor:
        cursor.execute("CREATE TEMP TABLE arriving (LIKE feedback) ON COMMIT DROP")
        cursor.copy_expert(f"COPY arriving ({LISTED}) FROM STDIN", io.BytesIO(data))
        cursor.execute(f"INSERT INTO feedback ({LISTED}) SELECT {LISTED} FROM arriving ON CONFLICT DO NOTHING")  # noqa: S608  # ours  # nosec B608


def waiting(database_url: str, problem: str) -> list[Said]:
    """What is not joined yet, in the order in which it came.

    Raises: TransientError: the database is away. ConfigError: it refuses us, or has no such table.
    """
    query = f"SELECT {LISTED} FROM feedback WHERE problem = %s AND done_at IS NULL ORDER BY ordinal, id"  # noqa: S608  # ours  # nosec B608
    return [Said(*row) for row in _fetched(database_url, query, (problem,))]


def hints(database_url: str, problem: str, since: datetime) -> set[str]:
    """Keys whose answer somebody called wrong since a moment without saying what is right."""
    query = "SELECT DISTINCT key FROM feedback WHERE problem = %s AND outcome = 'asked' AND received_at >= %s AND key IS NOT NULL"
    return {key for (key,) in _fetched(database_url, query, (problem, since))}


def answers(database_url: str, problem: str, said: Sequence[Said]) -> list[Found]:
    """The answered rows that these are about, by request and position or by key; of a key its latest answer comes last."""
    requests_ = sorted({one.request_id for one in said if one.request_id})
    keys = sorted({one.key for one in said if one.key is not None and not one.request_id})
    query = (
        "SELECT request_id, position, key, score, decision, several FROM request_log WHERE problem = %s AND arm <> %s"
        " AND (request_id = ANY(%s) OR key = ANY(%s)) ORDER BY served_at, request_id, position"
    )
    rows = _fetched(database_url, query, (problem, SHADOW, requests_, keys))
    return [Found(request, place, key, answer_of(*answer)["decision"]) for request, place, key, *answer in rows]


def finish(database_url: str, problem: str, outcomes: Mapping[str, tuple[str, str | None]], at: datetime) -> None:
    """Write down how feedback ended: outcome and key by id; what has ended before stays as it did."""
    query = (
        "UPDATE feedback SET done_at = %s, outcome = told.outcome, key = coalesce(feedback.key, told.key)"
        " FROM unnest(%s::text[], %s::text[], %s::text[]) AS told(id, outcome, key)"
        " WHERE feedback.problem = %s AND feedback.id = told.id AND feedback.done_at IS NULL RETURNING feedback.id"
    )
    ends = [*outcomes.values()]
    values = (at, list(outcomes), [end for end, _ in ends], [key for _, key in ends], problem)
    _fetched(database_url, query, values)


def ended(database_url: str, problem: str, since: datetime) -> dict[str, int]:
    """How much feedback ended since a moment, by outcome."""
    query = "SELECT outcome, count(*) FROM feedback WHERE problem = %s AND done_at >= %s GROUP BY outcome"
    return dict(_fetched(database_url, query, (problem, since)))


def forget(database_url: str, problem: str, before: datetime) -> None:
    """Remove what ended before a moment: the table of labels has it."""
    _fetched(database_url, "DELETE FROM feedback WHERE problem = %s AND done_at < %s RETURNING id", (problem, before))


def about(
    database_url: str, spool: Path, problem: str, keys: Collection[str], names: Collection[str], *, remove: bool = False
) -> int:
    """How much was told by somebody, about their keys, or about requests with these; removes it when asked to.

    Call it before the rows of the request log go: they say whose a request is.

    Args:
        keys: of the person's rows.
        names: of the person.
        spool: folder of the request log's spool.
    Raises: TransientError: the database is away. ConfigError: it refuses us.
    """
    what = "DELETE FROM feedback" if remove else "SELECT FROM feedback"
    whose = "SELECT request_id FROM request_log WHERE problem = %s AND key = ANY(%s)"
    held, said = list(keys), list(names)
    with closing(connect(database_url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(whose, (problem, held))
        asked = [request for (request,) in cursor.fetchall()]
        wanted = {KEY: set(held), LABELLER: set(said), REQUEST: set(asked)}

        def meant(line: bytes) -> bool:
            values = fields(line)
            ours = len(values) == len(COLUMNS) and values[PROBLEM] == problem.encode()
            return ours and any(unescaped(values[place]) in ones for place, ones in wanted.items())

        num = scrub(spool / FOLDER, meant, remove=remove)
        own = "key = ANY(%s) OR labeller = ANY(%s) OR request_id = ANY(%s)"
        cursor.execute(f"{what} WHERE problem = %s AND ({own})", (problem, held, said, asked))
        return num + int(cursor.rowcount)


def _fetched(database_url: str, query: str, values: tuple[object, ...]) -> list[tuple[Any, ...]]:
    """Nothing where the state is kept in SQLite, which has no request log either."""
    if database_url.startswith("sqlite"):
        return []
    with closing(connect(database_url)) as connection, connection, connection.cursor() as cursor:
        try:
            cursor.execute(query, values)
        except psycopg2.errors.UndefinedTable as error:
            raise never_made("feedback") from error
        return cursor.fetchall()


def label_of(said: Said) -> Any:
    """The label that was told, None when there is only a verdict."""
    return None if said.label is None else json.loads(said.label)
