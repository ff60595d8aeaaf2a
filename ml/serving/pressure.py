"""Says no while a no is still cheap: a queue that grows helps nobody."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from fastapi import HTTPException

from ml.serving.answer import FEW_ROWS

MOST_REQUESTS = 512  # taken in at once by a worker, which are some tenths of a second of work
MOST_ROWS = 50_000  # waiting for threads of a worker
RETRY_AFTER_S = 1


class Pressure:
    """What waits in one worker. `requests` tells how many it has taken in and not answered."""

    def __init__(self) -> None:
        self.requests: Callable[[], int] = lambda: 0
        self._rows = 0

    @contextmanager
    def waiting(self, num_rows: int) -> Iterator[None]:
        """Count rows that wait for a thread.

        Raises: HTTPException: 503 when too many wait already; a request is never too large for an idle service, and one of few
            rows counts as a request only.
        """
        if num_rows > FEW_ROWS and self._rows and self._rows + num_rows > MOST_ROWS:
            raise self._refusal(f"{self._rows:,} rows wait already")
        self._rows += num_rows
        try:
            yield
        finally:
            self._rows -= num_rows

    def admit(self) -> None:
        """Let a request in.

        Raises: HTTPException: 503 when too many wait already.
        """
        if (num := self.requests()) > MOST_REQUESTS:
            raise self._refusal(f"{num:,} requests wait already")

    def _refusal(self, why: str) -> HTTPException:
        told = f"The service is busy: {why}. Nothing was done; ask again in {RETRY_AFTER_S} s, or start more workers."
        return HTTPException(503, told, headers={"Retry-After": str(RETRY_AFTER_S)})
