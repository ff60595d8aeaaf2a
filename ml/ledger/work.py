"""What is due: asked once by key, done once. Asset events are hints; these rows are the truth."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from ml.ledger.entry import canonical
from ml.ledger.schema import WORK


@dataclass(frozen=True)
class Work:
    """One thing to do."""

    id: int
    problem: str
    kind: str
    key: str
    body: dict[str, Any]
    asked_at: datetime
    outcome: str | None = None


def find(connection: sa.Connection, problem: str, kind: str, key: str) -> bool:
    """Whether it was ever asked, done or not."""
    same = (WORK.c.problem == problem) & (WORK.c.kind == kind) & (WORK.c.key == key)
    return connection.execute(sa.select(WORK.c.id).where(same)).first() is not None


def insert(connection: sa.Connection, values: dict[str, Any]) -> None:
    """Write one thing to do; the caller holds the lock."""
    connection.execute(sa.insert(WORK).values(values | {"body": canonical(values["body"])}))


def due(connection: sa.Connection, problem: str, kind: str) -> list[Work]:
    """What is not done yet, oldest first."""
    mine = (WORK.c.problem == problem) & (WORK.c.kind == kind) & WORK.c.done_at.is_(None)
    return _read(connection, sa.select(*_COLUMNS).where(mine).order_by(WORK.c.id))


def newest(connection: sa.Connection, problem: str, beginning: str, limit: int) -> list[Work]:
    """What was asked last, done or not, newest first, of all kinds whose name begins so."""
    mine = (WORK.c.problem == problem) & WORK.c.kind.startswith(beginning, autoescape=True)
    return _read(connection, sa.select(*_COLUMNS).where(mine).order_by(WORK.c.id.desc()).limit(limit))


_COLUMNS = [WORK.c[name] for name in Work.__dataclass_fields__]


def _read(connection: sa.Connection, asked: sa.Select[Any]) -> list[Work]:
    rows = connection.execute(asked).mappings()
    return [Work(**row | {"body": json.loads(row["body"])}) for row in map(dict, rows)]


def outcome(connection: sa.Connection, problem: str, kind: str, key: str) -> str | None:
    """How it ended; None when it was never asked or is still due."""
    same = (WORK.c.problem == problem) & (WORK.c.kind == kind) & (WORK.c.key == key)
    found: str | None = connection.execute(sa.select(WORK.c.outcome).where(same)).scalar()
    return found


def finish(connection: sa.Connection, work: Work, outcome: str, at: datetime) -> None:
    """Mark as done; what was done before keeps its first outcome."""
    open_ = (WORK.c.id == work.id) & WORK.c.done_at.is_(None)
    connection.execute(sa.update(WORK).where(open_).values(done_at=at, outcome=outcome))
