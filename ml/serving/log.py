"""The writer of the request log: answers never wait for it, and what it could not write is counted, not hidden."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TypedDict

import psycopg2
from psycopg2.extensions import connection as Connection  # noqa: N812 - a class that psycopg2 spells small

from ml import database, requests
from ml.errors import EvergreenError
from ml.requests import Request

logger = logging.getLogger("uvicorn.error")
CAPACITY_ROWS = 100_000
BATCH_ROWS = 20_000
LINGER_S = 0.1
RETRY_S = 1.0


class Counts(TypedDict):
    """Rows since the start; `error` is why rows wait, empty when they do not have to.

    Rows of erased people are not written, and count as written: nothing is amiss.
    """

    written: int
    waiting: int
    dropped: int
    error: str


class RequestLog:
    """A bounded queue of answered requests and one thread that copies them to PostgreSQL in batches.

    A database that is away is tried again every second and nothing is lost while the queue has room; beyond that the
    newest rows are dropped and counted. `close` writes what waits.
    """

    def __init__(
        self,
        database_url: str,
        without_forgotten: Callable[[Request], Request] = lambda request: request,
        *,
        capacity_rows: int = CAPACITY_ROWS,
    ) -> None:
        self._url = database_url
        self._without_forgotten = without_forgotten
        self._capacity_rows = capacity_rows
        self._changed = threading.Condition()
        self._queue: deque[Request] = deque()
        self._counts = Counts(written=0, waiting=0, dropped=0, error="")
        self._deadline: float | None = None
        self._connection: Connection | None = None
        self._thread = threading.Thread(target=self._run, name="request-log", daemon=True)
        self._thread.start()

    @property
    def counts(self) -> Counts:
        """Rows written, waiting and dropped so far; `waiting` is 0 when every answer given so far is in the log."""
        with self._changed:
            return self._counts.copy()

    def put(self, request: Request) -> None:
        """Take an answered request; returns at once."""
        with self._changed:
            if self._counts["waiting"] + len(request.rows) > self._capacity_rows:
                self._counts["dropped"] += len(request.rows)
                return
            self._queue.append(request)
            self._counts["waiting"] += len(request.rows)
            self._changed.notify()

    def close(self, timeout_s: float = 10.0) -> None:
        """Write what waits, for at most `timeout_s`; the rest is dropped and said so in the log of the service."""
        with self._changed:
            self._deadline = time.monotonic() + timeout_s
            self._changed.notify()
        self._thread.join(timeout_s + 5)
        if lost := self.counts["waiting"]:
            logger.error("%d rows of the request log could not be written before the end: %s", lost, self.counts["error"])
        self._disconnect()

    def _run(self) -> None:
        while batch := self._next_batch():
            self._write_until_done(batch)

    def _next_batch(self) -> list[Request]:
        """Wait for requests and a moment longer for company; empty only when closed and all is written."""
        with self._changed:
            while not self._queue and self._deadline is None:
                self._changed.wait()
        if self._deadline is None:
            time.sleep(LINGER_S)
        batch: list[Request] = []
        num_rows = 0
        with self._changed:
            while self._queue and (not batch or num_rows + len(self._queue[0].rows) <= BATCH_ROWS):
                batch.append(self._queue.popleft())
                num_rows += len(batch[-1].rows)
        return batch

    def _write_until_done(self, batch: Sequence[Request]) -> None:
        """Try until the batch is written, refused for good, or the time of `close` is over."""
        while not self._over():
            try:
                self._write(batch)
            except (psycopg2.DataError, ValueError) as error:
                self._write_one_by_one(batch, error)
            except (EvergreenError, psycopg2.Error) as error:
                self._disconnect()
                self._complain(str(error).strip())
                time.sleep(RETRY_S)
                continue
            return

    def _write(self, batch: Sequence[Request]) -> None:
        if self._connection is None:
            self._connection = database.connect(self._url)
        requests.append(self._connection, [self._without_forgotten(request) for request in batch])
        self._count(written=sum(len(request.rows) for request in batch), dropped=0)

    def _write_one_by_one(self, batch: Sequence[Request], error: Exception) -> None:
        """A value that the database refuses must not hold up the rows around it for ever."""
        if len(batch) > 1:
            for request in batch:
                self._write_until_done([request])
            return
        logger.error("request %s cannot be logged and is dropped: %s", batch[0].request_id, str(error).strip())
        self._count(written=0, dropped=len(batch[0].rows))

    def _count(self, *, written: int, dropped: int) -> None:
        with self._changed:
            self._counts["written"] += written
            self._counts["dropped"] += dropped
            self._counts["waiting"] -= written + dropped
            self._counts["error"] = ""

    def _complain(self, reason: str) -> None:
        with self._changed:
            new = self._counts["error"] != reason
            self._counts["error"] = reason
        if new:
            logger.warning("request log: rows wait, because %s", reason)

    def _over(self) -> bool:
        return self._deadline is not None and time.monotonic() > self._deadline

    def _disconnect(self) -> None:
        if self._connection is not None:
            with suppress(psycopg2.Error):  # it is broken or no longer wanted: nothing to save
                self._connection.close()
            self._connection = None
