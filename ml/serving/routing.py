"""Which version answers a request while a challenger is tried: never two at once, and never a client that waits for the trial."""

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from uuid import uuid4

from ml.errors import DataError
from ml.requests import Request
from ml.serving.answer import Rows, answer, fitting
from ml.serving.loaded import Model
from ml.serving.trial import Trial

logger = logging.getLogger("uvicorn.error")
PATIENCE_S = 2.0  # a challenger that takes longer has failed, and the other version answers
MOST_BESIDE = 32  # requests that wait to be scored by the other version too; more are skipped
MOST_ROWS = 1_000  # larger requests are not scored twice
REST, LONGEST_REST_S = 4, 0.25  # times as long as a second scoring took: it gets a fifth of a core, whatever the traffic

ENTITY_HEADER = "X-Evergreen-Entity"


@dataclass(frozen=True)
class Asked:
    """A request, and whom it is about: the same entity is always answered by the same version."""

    problem: str
    rows: Rows
    served_at: datetime
    entity: str | None = None

    def with_entity(self, request_id: str) -> str:
        """The entity that was named, or the key of the first row; without either every request is one of its own."""
        return self.entity or self.rows.keys[0] or request_id


class Routing:
    """Threads in which a challenger scores, apart from those that answer: one that hangs holds up nobody.

    Args:
        log: takes shadow answers for the request log, with the model that gave them.
    """

    def __init__(self, scoring: ThreadPoolExecutor, log: Callable[[Model, Request], None]) -> None:
        self._scoring = scoring
        self._challenging = ThreadPoolExecutor(2, thread_name_prefix="challenger")
        self._beside = ThreadPoolExecutor(1, thread_name_prefix="beside")
        self._room = threading.Semaphore(MOST_BESIDE)
        self._closed = threading.Event()
        self._log = log

    def close(self) -> None:
        """Take nothing more."""
        self._closed.set()
        for pool in (self._challenging, self._beside):
            pool.shutdown(wait=False, cancel_futures=True)

    async def answered(self, asked: Asked, champion: Model, challenger: Model, trial: Trial) -> tuple[Model, Request]:
        """The one answer of a request, and the model that gave it.

        Raises: DataError: a row is not what the models take.
        """
        request_id = str(uuid4())
        if not trial.looks_on and trial.meets(asked.with_entity(request_id)):
            return await self._by_challenger(asked, request_id, champion, challenger, trial)
        request, seconds = await self._score(self._scoring, champion, asked, request_id)
        trial.scored("champion", request, seconds)
        if trial.looks_on:
            self._beside_it(partial(self._look_on, asked, request, challenger, trial), request, trial)
        return champion, request

    async def _by_challenger(
        self, asked: Asked, request_id: str, champion: Model, challenger: Model, trial: Trial
    ) -> tuple[Model, Request]:
        """What the challenger cannot answer the other version does; only if that can, it was the challenger's fault."""
        try:
            scoring = self._score(self._challenging, challenger, asked, request_id)
            request, seconds = await asyncio.wait_for(scoring, PATIENCE_S)
        except Exception as error:  # noqa: BLE001 - whatever it is, the client gets an answer
            request, _ = await self._score(self._scoring, champion, asked, request_id)
            trial.failed(str(error) or f"{type(error).__name__} after {PATIENCE_S:g} s")
            return champion, request
        request = replace(request, arm="challenger")
        trial.scored("challenger", request, seconds)
        self._beside_it(partial(self._compare, asked, request, champion, trial), request, trial)
        return challenger, request

    async def _score(self, pool: ThreadPoolExecutor, model: Model, asked: Asked, request_id: str) -> tuple[Request, float]:
        return await asyncio.get_running_loop().run_in_executor(pool, _timed, model, asked, request_id)

    def _beside_it(self, work: Callable[[], None], request: Request, trial: Trial) -> None:
        """Let the other version score the request too, when there is time; the answer does not wait for it."""
        if len(request.answers) > MOST_ROWS or not self._room.acquire(blocking=False):
            trial.skipped()
            return
        self._beside.submit(self._quietly, work)

    def _quietly(self, work: Callable[[], None]) -> None:
        began = time.perf_counter()
        try:
            work()
        except Exception:  # a comparison that fails must not cost an answer
            logger.exception("a request could not be scored by the other version too")
        finally:
            self._closed.wait(min(REST * (time.perf_counter() - began), LONGEST_REST_S))
            self._room.release()

    def _look_on(self, asked: Asked, answered: Request, challenger: Model, trial: Trial) -> None:
        try:
            request, seconds = _timed(challenger, asked, answered.request_id)
        except Exception as error:  # noqa: BLE001 - it is the challenger's, and counted
            trial.failed(str(error))
            return
        request = replace(request, arm="shadow")
        trial.scored("shadow", request, seconds)
        trial.both(answered, request)
        self._log(challenger, request)

    def _compare(self, asked: Asked, answered: Request, champion: Model, trial: Trial) -> None:
        try:
            request, _ = _timed(champion, asked, answered.request_id)
        except DataError:
            return  # the challenger takes what the other does not: nothing to compare
        trial.both(request, answered)


def _timed(model: Model, asked: Asked, request_id: str) -> tuple[Request, float]:
    """Score, and how long that took in seconds: without waiting for a thread, which says nothing about the model."""
    rows = fitting(model, asked.rows)
    began = time.perf_counter()
    request = answer(model, rows, asked.problem, asked.served_at)
    return replace(request, request_id=request_id), time.perf_counter() - began
