"""The writers of the request log and of feedback: nobody waits for the database, and what could not be kept is counted."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import TypedDict

import psycopg2
from psycopg2.extensions import connection as Connection  # noqa: N812 - a class that psycopg2 spells small

from ml import database, requests
from ml.errors import EvergreenError, TransientError
from ml.privacy import Forgotten
from ml.requests import Request, feedback, record
from ml.requests.record import fields, unescaped
from ml.requests.spool import numbers

logger = logging.getLogger("uvicorn.error")
LIMIT_BYTES = 2**30
LINGER_S = 0.1
RETRY_S = 1.0
LOOK_S = 2.0  # how often to look for what dead processes left
REFUSED = (psycopg2.DataError, psycopg2.errors.ProgramLimitExceeded)


class Counts(TypedDict):
    """Rows of all processes since the start; `error` is why rows wait, empty when they do not have to.

    Rows of erased people are not written, and count as written: nothing is amiss.
    """

    written: int
    waiting: int
    dropped: int
    error: str


def sampled(request_id: str, share: float) -> bool:
    """Whether a request is one of the share that is logged; the same for all arms that answered it."""
    return share >= 1 or int.from_bytes(blake2b(request_id.encode(), digest_size=4).digest()) < share * 2**32


@dataclass(frozen=True)
class Destination:
    """A table that lines go to; `problem` and `key` are the places in a line that say what it is about, `width` its values."""

    name: str
    append: Callable[[Connection, bytes], None]
    width: int
    problem: int
    key: int


REQUESTS = Destination("request log", requests.append_lines, len(record.COLUMNS), record.PROBLEM, record.KEY)
FEEDBACK = Destination("feedback", feedback.append_lines, len(feedback.COLUMNS), feedback.PROBLEM, feedback.KEY)


class Writer:
    """Rows go to a file of the spool before the answer leaves; one thread copies the files to PostgreSQL.

    While the database is away the files grow up to a limit; beyond it the newest rows are dropped and counted. What a
    process that died left in its files, another one writes.

    Args:
        to: the table.
        folder: of the spool, on a local disk; all processes that write to this table share it.
        forgotten: who was erased, by problem; None when a request does not say who its rows are about.
            KeyError: no such problem is served here.
    """

    def __init__(
        self,
        to: Destination,
        database_url: str,
        folder: Path,
        forgotten: Callable[[str], Forgotten | None],
        limit_bytes: int,
    ) -> None:
        self._to = to
        self._url = database_url
        self._folder = folder
        self._forgotten = forgotten
        self._spool = requests.Spool(folder, limit_bytes)
        self._error = ""
        self._wake = threading.Event()
        self._deadline: float | None = None
        self._connection: Connection | None = None
        self._thread = threading.Thread(target=self._run, name=to.name, daemon=True)
        self._thread.start()

    @property
    def counts(self) -> Counts:
        """Rows written, waiting and dropped so far; `waiting` is 0 when every answer given so far is in the log."""
        found, error = numbers(self._folder)
        waiting = found.taken - found.written - found.refused
        return Counts(written=found.written, waiting=waiting, dropped=found.refused + found.dropped, error=error)

    def keep(self, lines: bytes, num_rows: int) -> bool:
        """Whether rows are kept; when it returns, the end of this process cannot lose them."""
        try:
            kept = self._spool.put(lines, num_rows)
        except OSError as error:
            self._complain(f"the spool {self._folder} takes nothing: {error}")
            return False
        if not kept:
            self._complain(f"the spool {self._folder} is full; {self._error or 'rows come faster than they are written'}")
        elif not self._wake.is_set():
            self._wake.set()
        return kept

    def close(self, timeout_s: float = 10.0) -> None:
        """Write what waits, for at most `timeout_s`; the rest stays in the spool for the next start."""
        self._deadline = time.monotonic() + timeout_s
        self._wake.set()
        self._thread.join(timeout_s + 5)
        if left := self._spool.close():
            logger.warning("%d rows of the %s wait in %s for the next start: %s", left, self._to.name, self._folder, self._error)
        self._disconnect()

    def _run(self) -> None:
        self._spool.adopt()
        looked_at = time.monotonic()
        while self._deadline is None:
            if self._wake.wait(LOOK_S):
                time.sleep(LINGER_S)  # a moment longer for company
            self._wake.clear()
            if time.monotonic() - looked_at > LOOK_S:
                if num_rows := self._spool.adopt():
                    logger.warning("%s: %d rows taken over from a process that died", self._to.name, num_rows)
                looked_at = time.monotonic()
            self._write_all()
            if self._spool.waits:
                self._wake.set()
        while self._spool.waits and not self._over():
            self._write_all()

    def _write_all(self) -> None:
        """Write file after file until none is left, or the database is away."""
        self._spool.turn()
        while (path := self._spool.oldest()) and not self._over():
            try:
                refused = self._write(path)
            except (EvergreenError, psycopg2.Error, OSError) as error:
                self._disconnect()
                self._complain(str(error).strip())
                time.sleep(RETRY_S)
                return
            self._spool.done(refused=refused)
            self._complain("")

    def _write(self, path: Path) -> int:
        """Write a file; returns how many of its rows the table refuses."""
        if self._connection is None:
            self._connection = database.connect(self._url)
        requests.share_lock(self._connection)
        data = path.read_bytes()
        data = data[: data.rfind(b"\n") + 1]  # a row that was torn by a kill was never answered
        kept, refused = self._without_forgotten(data.splitlines(keepends=True))
        return refused + self._append(kept)

    def _append(self, lines: Sequence[bytes]) -> int:
        """Write lines; one that the database refuses is found by halves, for it must not hold up those around it."""
        assert self._connection is not None  # noqa: S101 - `_write` made it
        try:
            self._to.append(self._connection, b"".join(lines))
        except REFUSED as error:
            if len(lines) == 1:
                logger.error("a row of the %s (%s) is refused and dropped: %s", self._to.name, lines[0][:36], str(error).strip())
                return 1
            half = len(lines) // 2
            return self._append(lines[:half]) + self._append(lines[half:])
        return 0

    def _without_forgotten(self, lines: Sequence[bytes]) -> tuple[list[bytes], int]:
        """The lines without those of erased people, and how many are of no problem that is served: nobody knows whose."""
        about, key = self._to.problem, self._to.key
        split = [(line, values) for line in lines if len(values := fields(line)) == self._to.width]  # a blanked one has one
        gone: dict[bytes, Forgotten | None] = {}
        unknown: set[bytes] = set()
        for problem in {values[about] for _, values in split}:
            try:
                gone[problem] = self._forgotten(problem.decode())
            except KeyError:
                logger.error("rows of %s wait in the spool, but it is not served any more: they are dropped", problem.decode())
                unknown.add(problem)
        kept = [line for line, values in split if values[about] not in unknown and not _holds(gone[values[about]], values[key])]
        return kept, sum(values[about] in unknown for _, values in split)

    def _complain(self, reason: str) -> None:
        if reason == self._error:
            return
        self._error = reason
        self._spool.complain(reason)
        if reason:
            logger.warning("%s: rows wait, because %s", self._to.name, reason)

    def _over(self) -> bool:
        return self._deadline is not None and time.monotonic() > self._deadline

    def _disconnect(self) -> None:
        if self._connection is not None:
            with suppress(psycopg2.Error):  # it is broken or no longer wanted: nothing to save
                self._connection.close()
            self._connection = None


class RequestLog(Writer):
    """Answered requests, on their way into the request log. Arguments as of `Writer`."""

    def __init__(
        self,
        database_url: str,
        folder: Path,
        forgotten: Callable[[str], Forgotten | None] = lambda problem: None,
        *,
        limit_bytes: int = LIMIT_BYTES,
    ) -> None:
        super().__init__(REQUESTS, database_url, folder, forgotten, limit_bytes)

    def put(self, request: Request) -> None:
        """Keep an answered request; what cannot be kept is counted. Never raises: an answer leaves."""
        try:
            lines = requests.lines(request)
        except (ValueError, TypeError, KeyError) as error:
            self._spool.drop(len(request.rows))
            logger.error("request %s cannot be logged and is dropped: %s", request.request_id, error)
        else:
            self.keep(lines, len(request.rows))


class FeedbackLog(Writer):
    """What people and programs tell, on its way into the table `feedback`. Arguments as of `Writer`."""

    def __init__(
        self, database_url: str, folder: Path, forgotten: Callable[[str], Forgotten | None], *, limit_bytes: int = LIMIT_BYTES
    ) -> None:
        super().__init__(FEEDBACK, database_url, folder / feedback.FOLDER, forgotten, limit_bytes)

    def put(self, said: Sequence[feedback.Said]) -> None:
        """Keep it all, or say that it cannot be kept: whoever told it sends it again.

        Raises: TransientError: the spool takes nothing.
        """
        if not self.keep(b"".join(map(feedback.line, said)), len(said)):
            raise TransientError(f"Feedback cannot be kept now: {self._error}. Send it again later.")


def _holds(gone: Forgotten | None, key: bytes) -> bool:
    return gone is not None and (name := unescaped(key)) is not None and gone.holds(name)
