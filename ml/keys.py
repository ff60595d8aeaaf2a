"""API keys of the prediction service's clients: a table of digests in the state's database.

A key is 256 random bits, so plain sha256 keeps it safe: slow hashes (bcrypt, argon2) are for passwords, which can be guessed;
this cannot, and the service compares thousands a second. Nobody can read a key back out of the table.
"""

import secrets
from contextlib import closing
from datetime import datetime
from hashlib import sha256
from typing import Literal

import psycopg2
from pydantic import BaseModel, ConfigDict

from ml.database import connect, never_made
from ml.errors import RefusedError

Scope = Literal["predict", "feedback", "deploy"]
SCOPES: tuple[Scope, ...] = ("predict", "feedback", "deploy")
PREFIX = "eg_"


class Key(BaseModel):
    """One key as the table has it; `id` is its beginning, which anybody may see."""

    model_config = ConfigDict(frozen=True)
    id: str
    digest: str
    client: str
    scopes: tuple[str, ...]
    per_minute: int | None
    made_at: datetime
    made_by: str
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    revoked_by: str | None = None

    def holds(self, now: datetime) -> bool:
        """Whether it lets anybody in at this moment."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


class Asked(BaseModel):
    """What a new key is to be."""

    model_config = ConfigDict(frozen=True)
    client: str
    scopes: tuple[Scope, ...] = ("predict",)
    per_minute: int | None = None
    expires_at: datetime | None = None


def digest(key: str) -> str:
    """What the table keeps of a key."""
    return sha256(key.encode()).hexdigest()


def new(database_url: str, asked: Asked, *, actor: str, now: datetime, text: str = "") -> tuple[Key, str]:
    """Make a key; returns its row and the key itself, which is told this once.

    Args:
        text: the key, where whoever installs the system has drawn it already (`eg_<8 hex digits>_<256 random bits>`).
    Raises: TransientError: the database is away. ConfigError: it refuses us, or has no such table.
    """
    text = text or f"{PREFIX}{secrets.token_hex(4)}_{secrets.token_urlsafe(32)}"
    name = PREFIX + text.removeprefix(PREFIX).partition("_")[0]
    key = Key(id=name, digest=digest(text), made_at=now, made_by=actor, **asked.model_dump())
    _execute(
        database_url,
        "INSERT INTO api_key (id, digest, client, scopes, per_minute, made_at, made_by, expires_at)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
        (key.id, key.digest, key.client, " ".join(key.scopes), key.per_minute, now, actor, key.expires_at),
    )
    return key, text


def every(database_url: str) -> list[Key]:
    """All keys that were ever made, oldest first.

    Raises: TransientError: the database is away. ConfigError: it refuses us, or has no such table.
    """
    rows = _execute(database_url, f"SELECT {', '.join(Key.model_fields)} FROM api_key ORDER BY made_at, id")  # noqa: S608  # fields of ours  # nosec B608
    named = (dict(zip(Key.model_fields, row, strict=True)) for row in rows)
    return [Key.model_validate(row | {"scopes": tuple(str(row["scopes"]).split())}) for row in named]


def revoke(database_url: str, name: str, *, actor: str, now: datetime) -> Key:
    """Let a key in no more; services know within seconds.

    Raises: RefusedError: there is no such key, or it was revoked before. TransientError, ConfigError: as `every`.
    """
    found = _execute(
        database_url,
        "UPDATE api_key SET revoked_at = %s, revoked_by = %s WHERE id = %s AND revoked_at IS NULL RETURNING id",
        (now, actor, name),
    )
    if not found:
        raise RefusedError(f"No key {name!r} lets anybody in. `python -m ml keys list` shows them by their ids.")
    return next(key for key in every(database_url) if key.id == name)


def _execute(database_url: str, statement: str, values: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
    with closing(connect(database_url)) as connection, connection, connection.cursor() as cursor:
        try:
            cursor.execute(statement, values)
        except psycopg2.errors.UndefinedTable as error:
            raise never_made("keys") from error
        return cursor.fetchall() if cursor.description else []
