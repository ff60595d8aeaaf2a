"""Rows of several requests in one call of a model whose calls cost much and rows little, such as a SavedModel."""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from typing import Any

from ml.scoring import Floats

MOST_ROWS = 256  # of one call: a request that comes in between waits for no more than these
Columns = Sequence[Mapping[str, Any]]
Answer = asyncio.Future[Floats]


class Batcher:
    """One call at a time; what arrives meanwhile goes together into the next.

    So nobody waits while the model is idle, and nobody for longer than the call under way and those of the rows before.
    Use it on one event loop.
    """

    def __init__(self, call: Callable[[Columns], Floats]) -> None:
        self._call = call
        self._waiting: deque[tuple[Columns, Answer]] = deque()
        self._worker: asyncio.Task[None] | None = None

    async def scores(self, rows: Columns, threads: Executor) -> Floats:
        """Scores of rows that are known to be right.

        Raises: whatever the call says of these very rows; of others in the same call nothing is heard.
        """
        answer: Answer = asyncio.get_running_loop().create_future()
        self._waiting.append((rows, answer))
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work(threads))
        return await answer

    async def _work(self, threads: Executor) -> None:
        """Call until nobody waits."""
        loop = asyncio.get_running_loop()
        while batch := self._next():
            results = await loop.run_in_executor(threads, self._run, [rows for rows, _ in batch])
            for (_, answer), result in zip(batch, results, strict=True):
                if answer.done():  # its client has gone
                    continue
                if isinstance(result, Exception):
                    answer.set_exception(result)
                else:
                    answer.set_result(result)

    def _next(self) -> list[tuple[Columns, Answer]]:
        batch: list[tuple[Columns, Answer]] = []
        num_rows = 0
        while self._waiting and (not batch or num_rows + len(self._waiting[0][0]) <= MOST_ROWS):
            batch.append(self._waiting.popleft())
            num_rows += len(batch[-1][0])
        return batch

    def _run(self, parts: list[Columns]) -> list[Floats | Exception]:
        try:
            scores = self._call([row for rows in parts for row in rows])
        except Exception as error:  # noqa: BLE001 - raised where its request waits; a bad row must not fail its neighbours
            return [error] if len(parts) == 1 else [self._run([rows])[0] for rows in parts]
        ends = [sum(len(rows) for rows in parts[: place + 1]) for place in range(len(parts))]
        return [scores[end - len(rows) : end] for rows, end in zip(parts, ends, strict=True)]
