"""The ledger in its database: one writer at a time, every entry tied to the one before."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, TypedDict, Unpack

import sqlalchemy as sa

from ml import database
from ml.errors import RefusedError
from ml.ledger import work as works
from ml.ledger.entry import GENESIS, MOVES, Champion, Entry, Move, broken, canonical, succession
from ml.ledger.schema import LEDGER
from ml.ledger.work import Work

UNDEFINED_TABLE = "42P01"
LOCK = 0x4C45_4447  # any number that is ours: writers of the ledger wait for each other on this advisory lock


class About(TypedDict, total=False):
    """What an entry may say besides what happened and who did it."""

    version: int | None
    run_key: str | None
    body: Mapping[str, Any]


class By(TypedDict, total=False):
    """Who moves the champion, and what else the entry should say."""

    actor: str
    body: Mapping[str, Any]


class Ledger:
    """Decisions and moves of all problems, and their work.

    Every method raises TransientError when the database is away and ConfigError when it refuses us.
    The tables must exist: `ml.database.migrate` makes them.
    """

    def __init__(self, url: str, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.url = url
        self.now = now

    @cached_property
    def _engine(self) -> sa.Engine:
        return database.engine(self.url)

    @contextmanager
    def _reading(self) -> Iterator[sa.Connection]:
        with _telling_no_tables(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def _alone(self) -> Iterator[sa.Connection]:
        """A transaction that no other writer of the ledger overlaps; what it reads stays true until it ends."""
        with _telling_no_tables(), self._engine.execution_options(sqlite_begin="IMMEDIATE").begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(LOCK)))
            yield connection

    def append(self, problem: str, kind: str, *, key: str, actor: str, **about: Unpack[About]) -> Entry:
        """Write down what happened; the same problem, kind and key again returns the first entry."""
        with self._alone() as connection:
            first = _find(connection, problem, kind, key)
            return first or _append(connection, self._draft(problem, kind, key, actor, about))

    def move(self, problem: str, *, to: Champion, expected: int | None, kind: Move, key: str, **by: Unpack[By]) -> Entry:
        """Make `to` the champion, if the champion is still the version `expected` (None: there is none yet).

        The same kind and key again returns the first entry, whoever is champion by now.

        Args:
            by: `actor`, and a `body` with whatever else should be remembered.
        Raises: RefusedError: somebody else moved the champion; names who it is now.
        """
        with self._alone() as connection:
            if first := _find(connection, problem, kind, key):
                return first
            champion = _champion(connection, problem)
            if (champion.version if champion else None) != expected:
                raise RefusedError(_lost(problem, to, expected, champion))
            body = {**by.get("body", {}), "model_digest": to.model_digest, "previous": expected}
            about: About = {"version": to.version, "run_key": to.run_key, "body": body}
            return _append(connection, self._draft(problem, kind, key, by["actor"], about))

    def entries(self, problem: str | None = None) -> list[Entry]:
        """All entries, or those of one problem, oldest first."""
        with self._reading() as connection:
            return _entries(connection, *([LEDGER.c.problem == problem] if problem is not None else []))

    def recent(self, problem: str, most: int) -> list[Entry]:
        """The newest entries of a problem, at most so many, oldest first; for pages, which must not grow with the years."""
        with self._reading() as connection:
            newest = sa.select(LEDGER).where(LEDGER.c.problem == problem).order_by(LEDGER.c.id.desc()).limit(most)
            return [_entry(row) for row in connection.execute(newest).mappings()][::-1]

    def moves(self, problem: str) -> list[Entry]:
        """Every move of the champion, oldest first."""
        with self._reading() as connection:
            return _entries(connection, *_moves(problem))

    def find(self, problem: str, kind: str, key: str) -> Entry | None:
        """The one entry of that kind and key."""
        with self._reading() as connection:
            return _find(connection, problem, kind, key)

    def verify(self) -> list[str]:
        """One sentence per entry that was changed, removed or slipped in; empty when the ledger is whole."""
        return broken(self.entries())

    def champion(self, problem: str, *, at: datetime | None = None) -> Champion | None:
        """Who serves, or should, now or at a moment; None before the first promotion."""
        with self._reading() as connection:
            return _champion(connection, problem, *([LEDGER.c.at <= at.astimezone(UTC)] if at else []))

    def succession(self, problem: str) -> list[Champion]:
        """The champions that still stand, oldest first; the last serves, the one before is what a rollback returns to."""
        with self._reading() as connection:
            return [move.champion for move in succession(_entries(connection, *_moves(problem)))]

    def ask(self, problem: str, kind: str, key: str, body: Mapping[str, Any]) -> bool:
        """Write down what is due; False when that key was asked before, done or not."""
        with self._alone() as connection:
            if works.find(connection, problem, kind, key):
                return False
            asked = {"problem": problem, "kind": kind, "key": key, "body": body, "asked_at": self._moment()}
            works.insert(connection, asked)
            return True

    def due(self, problem: str, kind: str) -> list[Work]:
        """What is not done yet, oldest first."""
        with self._reading() as connection:
            return works.due(connection, problem, kind)

    def asked(self, problem: str, beginning: str, *, limit: int) -> list[Work]:
        """What was asked last, done or not, newest first, of all kinds whose name begins so."""
        with self._reading() as connection:
            return works.newest(connection, problem, beginning, limit)

    def outcome(self, problem: str, kind: str, key: str) -> str | None:
        """How that work ended; None when it was never asked or is still due."""
        with self._reading() as connection:
            return works.outcome(connection, problem, kind, key)

    def done(self, work: Work, outcome: str) -> None:
        """Mark as done, with how it ended; the first outcome stays."""
        with self._alone() as connection:
            works.finish(connection, work, outcome, self._moment())

    def _draft(self, problem: str, kind: str, key: str, actor: str, about: About) -> Entry:
        """An entry but for its place in the chain; its body as it will be read back."""
        body = json.loads(canonical(about.get("body", {})))
        version, run_key = about.get("version"), about.get("run_key")
        return Entry(0, problem, kind, key, version, run_key, actor, self._moment(), body, GENESIS)

    def _moment(self) -> datetime:
        now = self.now()
        if now.tzinfo is None:
            raise ValueError(f"The ledger's clock gave {now}, a time without offset: nobody could say which moment it is.")
        return now.astimezone(UTC)


@contextmanager
def _telling_no_tables() -> Iterator[None]:
    try:
        yield
    except sa.exc.DBAPIError as error:
        if getattr(error.orig, "pgcode", "") == UNDEFINED_TABLE or "no such table" in str(error.orig):
            raise database.never_made("ledger") from error
        raise


def _append(connection: sa.Connection, draft: Entry) -> Entry:
    last = connection.execute(sa.select(LEDGER.c.id, LEDGER.c.hash).order_by(LEDGER.c.id.desc()).limit(1)).first()
    number, previous = (last.id + 1, last.hash) if last else (1, GENESIS)
    entry = Entry(**{**vars(draft), "id": number, "previous": previous}).sealed()
    connection.execute(sa.insert(LEDGER).values(asdict(entry) | {"body": canonical(entry.body)}))
    return entry


def _entries(connection: sa.Connection, *conditions: sa.ColumnElement[bool]) -> list[Entry]:
    rows = connection.execute(sa.select(LEDGER).where(*conditions).order_by(LEDGER.c.id)).mappings()
    return list(map(_entry, rows))


def _entry(row: Mapping[Any, Any]) -> Entry:
    return Entry(**{**row, "body": json.loads(row["body"])})


def _find(connection: sa.Connection, problem: str, kind: str, key: str) -> Entry | None:
    found = _entries(connection, LEDGER.c.problem == problem, LEDGER.c.kind == kind, LEDGER.c.key == key)
    return found[0] if found else None


def _moves(problem: str) -> tuple[sa.ColumnElement[bool], ...]:
    return LEDGER.c.problem == problem, LEDGER.c.kind.in_(MOVES)


def _champion(connection: sa.Connection, problem: str, *conditions: sa.ColumnElement[bool]) -> Champion | None:
    moves = _entries(connection, *_moves(problem), *conditions)
    return moves[-1].champion if moves else None


def _lost(problem: str, to: Champion, expected: int | None, champion: Champion | None) -> str:
    """Why a compare-and-set failed, and what to do."""
    version = "no version" if expected is None else f"version {expected}"
    now = "there is none" if champion is None else f"it is version {champion.version} of run {champion.run_key}"
    return (
        f"Version {to.version} of {problem} was compared with {version} as champion, but by now {now}. "
        "Nothing was moved. Retrain, so that the gate compares with the present champion."
    )
