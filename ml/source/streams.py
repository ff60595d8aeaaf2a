"""Several sources read ahead at once, each in a thread of its own, in bounded memory and in an order that repeats."""

import queue
import threading
from collections import deque
from collections.abc import Callable, Generator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from typing import Generic, TypeVar

AHEAD = 1  # items that wait per stream
PATIENCE_S = 30
T = TypeVar("T")


class _StoppedError(Exception):
    """Whoever reads has ended."""


@dataclass
class Stream(Generic[T]):
    """Items that a thread makes ahead of whoever reads them; `cancel` wakes it from a wait, so that it can end."""

    items: Callable[[], Generator[T, None, None]]
    cancel: Callable[[], None]
    _done: "queue.Queue[T | BaseException | None]" = field(default_factory=lambda: queue.Queue(AHEAD))
    _stopping: bool = False

    def __post_init__(self) -> None:
        self._thread = threading.Thread(target=self._run, name="source-stream", daemon=True)

    def start(self) -> None:
        """Begin to read ahead."""
        self._thread.start()

    def next(self) -> T | None:
        """The next item, None at the end; raises what the stream met."""
        found = self._done.get()
        if isinstance(found, BaseException):
            raise found
        return found

    def stop(self) -> None:
        """End it wherever it is."""
        self._stopping = True
        if self._thread.is_alive():
            self.cancel()

    def join(self) -> None:
        """Wait until it has ended, at most half a minute; a wait may begin after `cancel`, so that is said again."""
        for _ in range(PATIENCE_S if self._thread.ident is not None else 0):
            self._thread.join(timeout=1)
            if not self._thread.is_alive():
                return
            self.cancel()

    def _run(self) -> None:
        try:
            with closing(self.items()) as items:
                for item in items:
                    self._put(item)
            self._put(None)
        except _StoppedError:
            return
        except BaseException as error:  # noqa: BLE001  # it is raised again where the items are read
            with suppress(_StoppedError):
                self._put(error)

    def _put(self, item: T | BaseException | None) -> None:
        while not self._stopping:
            with suppress(queue.Full):
                return self._done.put(item, timeout=0.1)
        raise _StoppedError


def interleaved(streams: Sequence[Stream[T]]) -> Generator[T, None, None]:
    """Items of all streams in turn, so that the same data come in the same order; ends every stream when it ends."""
    waiting = deque(streams)
    try:
        for stream in streams:
            stream.start()
        while waiting:
            stream = waiting.popleft()
            item = stream.next()
            if item is not None:
                yield item
                waiting.append(stream)
    finally:
        for stream in streams:
            stream.stop()
        for stream in streams:
            stream.join()
