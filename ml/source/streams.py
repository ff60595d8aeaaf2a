"""Several COPY at once, each in a thread with a connection of its own, in bounded memory and in an order that repeats."""

import contextlib
import queue
import threading
from collections import deque
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

import psycopg2

if TYPE_CHECKING:
    from psycopg2 import extensions

BLOCK = 4 * 2**20  # bytes of whole rows that are parsed at once
AHEAD = 1  # parsed blocks that wait per stream
T = TypeVar("T")


class _StoppedError(Exception):
    """Whoever reads has ended."""


@dataclass
class Stream(Generic[T]):
    """One COPY; PostgreSQL sends a row per message, so `write` gets whole rows and no cell is ever cut."""

    connection: "extensions.connection"
    query: str
    parse: Callable[[bytes | memoryview], T]
    _done: "queue.Queue[T | BaseException | None]" = field(default_factory=lambda: queue.Queue(AHEAD))
    _block: memoryview = field(default_factory=lambda: memoryview(bytearray(BLOCK)))  # used again for every block
    _filled: int = 0
    _stopping: bool = False

    def __post_init__(self) -> None:
        self._thread = threading.Thread(target=self._run, name="source-stream", daemon=True)

    def start(self) -> None:
        """Begin to read ahead."""
        self._thread.start()

    def next(self) -> T | None:
        """The next parsed block, None at the end; raises what the stream met."""
        found = self._done.get()
        if isinstance(found, BaseException):
            raise found
        return found

    def stop(self) -> None:
        """End it wherever it is."""
        self._stopping = True
        if self._thread.is_alive():
            with contextlib.suppress(psycopg2.Error):  # it may have ended, or the server has
                self.connection.cancel()

    def join(self) -> None:
        """Wait until it has ended."""
        if self._thread.ident is not None:
            self._thread.join(timeout=30)

    def write(self, row: bytes) -> None:
        """Called by psycopg2 for each row."""
        start, end = self._filled, self._filled + len(row)
        if end > BLOCK:
            self._flush()
            if len(row) > BLOCK:
                return self._put(self.parse(row))
            start, end = 0, len(row)
        self._block[start:end] = row
        self._filled = end
        return None

    def _run(self) -> None:
        try:
            with self.connection.cursor() as cursor:
                cursor.copy_expert(self.query, self)
            self._flush()
            self._put(None)
        except _StoppedError:
            return
        except BaseException as error:  # noqa: BLE001  # it is raised again where the rows are read
            with contextlib.suppress(_StoppedError):
                self._put(error)

    def _flush(self) -> None:
        if self._filled:
            self._put(self.parse(self._block[: self._filled]))
            self._filled = 0

    def _put(self, item: T | BaseException | None) -> None:
        while not self._stopping:
            with contextlib.suppress(queue.Full):
                return self._done.put(item, timeout=0.1)
        raise _StoppedError


def interleaved(streams: Sequence[Stream[T]]) -> Generator[T, None, None]:
    """Blocks of all streams in turn, so that the same data come in the same order; ends every stream when it ends."""
    waiting = deque(streams)
    try:
        for stream in streams:
            stream.start()
        while waiting:
            stream = waiting.popleft()
            block = stream.next()
            if block is not None:
                yield block
                waiting.append(stream)
    finally:
        for stream in streams:
            stream.stop()
        for stream in streams:
            stream.join()
