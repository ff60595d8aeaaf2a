"""The rows that callers asked about last, as the request log holds them."""

import json
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg2

from ml.database import connect, never_made
from ml.requests import SHADOW


@dataclass(frozen=True)
class Logged:
    """One row of the log, with what was answered."""

    version: int
    served_at: datetime
    key: str | None
    row: dict[str, Any]
    answer: dict[str, Any]  # score and decision, with several outputs scores by name


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
    with closing(connect(database_url)) as connection, connection.cursor() as cursor:
        try:
            cursor.execute(query, (problem, SHADOW, most))
        except psycopg2.errors.UndefinedTable as error:
            raise never_made("request log") from error
        found = cursor.fetchall()
    return [
        Logged(version, served_at, key, json.loads(row), _answer(*answer))
        for version, served_at, key, row, *answer in found[::-1]
    ]


def _answer(score: float | None, decision: bool | None, several: str | None) -> dict[str, Any]:
    return {"score": score, **json.loads(several)} if several else {"score": score, "decision": decision}
