"""What the service holds and does, whatever protocol asks: live models, access, the request log, threads to score in."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, HTTPException

from ml import problem as problems
from ml.requests import Request
from ml.serving import describe, metrics
from ml.serving.access import Access
from ml.serving.answer import Rows, answer, request, seen
from ml.serving.champions import Champions
from ml.serving.live import LiveModel, Model
from ml.serving.log import RequestLog, sampled
from ml.serving.moves import Moves
from ml.serving.pressure import Pressure
from ml.serving.shared import Shared, folder_of
from ml.serving.siblings import Siblings
from ml.serving.start import Starter, open_problems
from ml.settings import Settings

SCORING_THREADS = 2  # scoring mostly holds the interpreter: more threads cost, and one would let a large request block all
FEW_ROWS = 64  # scored at once on the event loop; more of them would let everybody else wait


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
        self.loading = ThreadPoolExecutor(1, thread_name_prefix="load")

    @asynccontextmanager
    async def running(self, _app: FastAPI) -> AsyncIterator[None]:
        """From the first champion loaded to the last row of the request log written."""
        spool, limit_bytes = self.settings.spool, self.settings.spool_mb * 2**20
        self.log = RequestLog(
            self.settings.database_url, spool, lambda name: self.live[name].forgotten(), limit_bytes=limit_bytes
        )
        await asyncio.to_thread(self.starter.start)
        await asyncio.to_thread(self.access.start)
        async with self.siblings.told(self.health):
            yield
        self.access.stop()
        self.starter.stop()
        self.scoring.shutdown()
        self.loading.shutdown()
        await asyncio.to_thread(self.log.close)

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
        live = self.problem(name)
        loaded = live.state.loaded
        if not loaded:
            raise HTTPException(503, f"No model of {name!r} serves yet. {live.complaint or 'Promote a version first.'}")
        for model in loaded:
            if version in (None, model.id.version):
                return model
        numbers = ", ".join(str(model.id.version) for model in loaded)
        raise HTTPException(404, f"Version {version} of {name!r} is not loaded. Loaded: {numbers}.")

    def health(self) -> dict[str, Any]:
        """What this worker says about itself."""
        told = describe.health(self.live, self.broken, self.log.counts, self.starter.ledger_complaint)
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

    async def answer(self, name: str, rows: Rows, *, logged: bool = True, version: int | None = None) -> Request:
        """Answer a request with the one model that is live as it begins; every protocol comes through here.

        Args:
            version: the loaded version that must answer, whatever is live.
        Raises: HTTPException: 404 for an unknown problem or a version that is not loaded, 503 without a model, or with more
            waiting than can be answered soon. DataError: a row is not what the model takes.
        """
        model, began = self.model(name, version), time.perf_counter()
        found = await self._scored(model, name, rows)
        metrics.answered(found, time.perf_counter() - began)
        problem = self.live[name].problem
        if logged and sampled(found.request_id, problem.serving.sample):
            self.log.put(model.hidden(found, problem.source.key))
        return found

    async def _scored(self, model: Model, name: str, rows: Rows) -> Request:
        """Few rows are scored here and now, or together with those of others where a call costs much; many in a thread."""
        now = self.settings.now()
        few = len(rows.columns) <= FEW_ROWS and (rows.fit is model.scorer.columns or model.decoder.fits(rows.columns))
        rows = Rows(rows.keys, rows.columns, model.scorer.columns) if few else rows
        if few and model.scorer.core is not None:
            return answer(model, rows, name, now)
        with self.pressure.waiting(len(rows.columns)):
            if few:
                columns = seen(model, rows)
                return request(model, rows, columns, await model.batcher.scores(columns, self.scoring), name, now)
            return await asyncio.get_running_loop().run_in_executor(self.scoring, answer, model, rows, name, now)

    def _find(self, name: str) -> bool:
        """Look for the file of a problem that came after the start."""
        if name in problems.names(self.settings.problems):
            found, self.broken = open_problems(self.settings, self.shared.folder, but=self.live)
            self.live.update(found)
        return name in self.live
