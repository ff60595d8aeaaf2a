"""What the service holds and does, whatever protocol asks: live models, access, the request log, threads to score in."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, HTTPException

from ml import problem as problems
from ml.privacy import Forgotten
from ml.requests import Request
from ml.serving import describe, metrics
from ml.serving.access import Access
from ml.serving.answer import FEW_ROWS, Rows, answer, fitting, request, seen
from ml.serving.champions import Champions
from ml.serving.live import LiveModel
from ml.serving.loaded import Model, State
from ml.serving.log import FeedbackLog, RequestLog, sampled
from ml.serving.moves import Moves
from ml.serving.pressure import Pressure
from ml.serving.routing import Asked, Routing
from ml.serving.shared import Shared, folder_of
from ml.serving.siblings import Siblings
from ml.serving.start import Starter, open_problems
from ml.serving.watch import Watch
from ml.settings import Settings

SCORING_THREADS = 2  # scoring mostly holds the interpreter: more threads cost, and one would let a large request block all


class Service:
    """All that one worker of the service holds.

    Args:
        shared: the folder of the service; alone when it is not given.
        siblings: how to ask the other workers.
    """

    def __init__(self, settings: Settings, shared: Shared | None = None, siblings: Siblings | None = None) -> None:
        self.settings = settings
        self.access = Access(settings)
        self.pressure = Pressure()
        self.shared = shared or Shared(folder_of(settings, settings.serving_url))
        self.siblings = siblings or Siblings()
        self.live, self.broken = open_problems(settings, self.shared.folder)
        self.moves = Moves(self.live, self.shared, self._find)
        self.starter = Starter(Champions(settings, self.live, self.moves), self.moves)
        self.scoring = ThreadPoolExecutor(SCORING_THREADS, thread_name_prefix="score")
        self.batching = ThreadPoolExecutor(1, thread_name_prefix="batch")  # few rows do not queue behind many
        self.loading = ThreadPoolExecutor(1, thread_name_prefix="load")
        self.routing = Routing(self.scoring, self._logged)
        self.watch = Watch(self.live)

    @asynccontextmanager
    async def running(self, _app: FastAPI) -> AsyncIterator[None]:
        """From the first champion loaded to the last row of the request log written."""
        spool, limit_bytes = self.settings.spool, self.settings.spool_mb * 2**20
        url = self.settings.database_url
        self.log = RequestLog(url, spool, self._forgotten, limit_bytes=limit_bytes)
        self.feedback = FeedbackLog(url, spool, self._forgotten, limit_bytes=limit_bytes)
        await asyncio.to_thread(self.starter.start)
        await asyncio.to_thread(self.access.start)
        self.watch.start()
        async with self.siblings.told(self.health):
            yield
        self.access.stop()
        self.starter.stop()
        self.watch.stop()
        self.routing.close()
        self.scoring.shutdown()
        self.batching.shutdown()
        self.loading.shutdown()
        await asyncio.to_thread(self.log.close)
        await asyncio.to_thread(self.feedback.close)

    def problem(self, name: str) -> LiveModel:
        """The live model of a problem, 404 for an unknown one; a problem file that came after the start is found here."""
        if name not in self.live and self._find(name):
            found = {name: self.live[name]}
            self.loading.submit(self.starter.adopt, found)
        if name not in self.live:
            why = self.broken.get(name, f"Known: {', '.join(self.live) or 'none'}.")
            raise HTTPException(404, f"Unknown problem {name!r}. {why}")
        return self.live[name]

    def model(self, name: str, version: int | None = None) -> Model:
        """The model that answers now, or a loaded one by its number; 503 when none answers, 404 when that one is not loaded."""
        return self._serving(name, version)[0]

    def _serving(self, name: str, version: int | None) -> tuple[Model, State]:
        """The model that is to answer, and what else there is at this moment."""
        live = self.problem(name)
        state = live.state
        if state.current is None:
            raise HTTPException(503, f"No model of {name!r} serves yet. {live.complaint or 'Promote a version first.'}")
        for model in state.loaded:
            if version in (None, model.id.version):
                return model, state
        numbers = ", ".join(str(model.id.version) for model in state.loaded)
        raise HTTPException(404, f"Version {version} of {name!r} is not loaded. Loaded: {numbers}.")

    def health(self) -> dict[str, Any]:
        """What this worker says about itself."""
        told = describe.health(
            self.live, self.broken, {"log": self.log.counts, "feedback": self.feedback.counts}, self.starter.ledger_complaint
        )
        return describe.with_access(told, self.access.about(), self.access.complaint)

    async def move(self, name: str, action: Callable[[LiveModel], object]) -> LiveModel:
        """Change what answers a problem, in every worker of the service; returns when all of them answer with it.

        Raises: HTTPException: 404 for an unknown problem. RefusedError: it cannot serve, the old one goes on.
            TransientError: the store is away, or a worker takes too long.
        """
        live = self.problem(name)
        await asyncio.get_running_loop().run_in_executor(self.loading, self.moves.change, name, action)
        return live

    def versions(self, name: str) -> list[int]:
        """The versions that can be asked, the live one first; 404 for an unknown problem."""
        return [model.id.version for model in self.problem(name).state.loaded]

    async def answer(
        self, name: str, rows: Rows, *, logged: bool = True, version: int | None = None, entity: str | None = None
    ) -> Request:
        """Answer a request with one model from its first row to its last; every protocol comes through here.

        While a challenger is tried the entity decides which one; what is not logged is a check of the version that serves.

        Args:
            version: the loaded version that must answer, whatever is live.
            entity: whom the request is about, if not the key of its first row.
        Raises: HTTPException: 404 for an unknown problem or a version that is not loaded, 503 without a model, or with more
            waiting than can be answered soon. DataError: a row is not what the model takes.
        """
        (model, state), began = self._serving(name, version), time.perf_counter()
        if logged and version is None and state.trial is not None and state.challenger is not None:
            asked = Asked(name, rows, self.settings.now(), entity)
            with self.pressure.waiting(len(rows.columns)):
                model, found = await self.routing.answered(asked, model, state.challenger, state.trial)
        else:
            found = await self._scored(model, name, rows)
        metrics.answered(found, time.perf_counter() - began)
        if logged:
            self._logged(model, found)
        return found

    def _logged(self, model: Model, found: Request) -> None:
        problem = self.live[found.problem].problem
        if sampled(found.request_id, problem.serving.sample):
            self.log.put(model.hidden(found, problem.source.key))

    async def _scored(self, model: Model, name: str, rows: Rows) -> Request:
        """Few rows are scored here and now, or together with those of others where a call costs much; many in a thread."""
        now = self.settings.now()
        rows = fitting(model, rows)
        few = rows.fit is model.scorer.columns and len(rows.columns) <= FEW_ROWS
        if few and model.scorer.core is not None:
            return answer(model, rows, name, now)
        with self.pressure.waiting(len(rows.columns)):
            if few:
                columns = seen(model, rows)
                return request(model, rows, columns, await model.batcher.scores(columns, self.batching), name, now)
            return await asyncio.get_running_loop().run_in_executor(self.scoring, answer, model, rows, name, now)

    def _forgotten(self, name: str) -> Forgotten | None:
        return self.live[name].forgotten()

    def _find(self, name: str) -> bool:
        """Look for the file of a problem that came after the start."""
        if name in problems.names(self.settings.problems):
            found, self.broken = open_problems(self.settings, self.shared.folder, but=self.live)
            self.live.update(found)
        return name in self.live
