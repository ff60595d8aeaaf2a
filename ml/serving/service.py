"""What the service holds and does, whatever protocol asks: live models, access, the request log, threads to score in."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

from fastapi import FastAPI, HTTPException

from ml import problem as problems
from ml.requests import Request
from ml.serving.access import Access
from ml.serving.answer import Rows, answer
from ml.serving.live import LiveModel, Model
from ml.serving.log import RequestLog
from ml.serving.start import Starter, open_problems
from ml.settings import Settings

SCORING_THREADS = 2  # scoring mostly holds the interpreter: more threads cost, and one would let a large request block all


class Service:
    """All the service holds: live models, the request log, and threads to score in."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.access = Access(settings)
        self.live, self.broken = open_problems(settings)
        self.starter = Starter(settings, self.live)
        self.scoring = ThreadPoolExecutor(SCORING_THREADS, thread_name_prefix="score")
        self.loading = ThreadPoolExecutor(1, thread_name_prefix="load")

    @asynccontextmanager
    async def running(self, _app: FastAPI) -> AsyncIterator[None]:
        """From the first champion loaded to the last row of the request log written."""
        self.log = RequestLog(self.settings.database_url, lambda request: self.live[request.problem].without_forgotten(request))
        await asyncio.to_thread(self.starter.start)
        yield
        self.starter.stop()
        self.scoring.shutdown()
        self.loading.shutdown()
        await asyncio.to_thread(self.log.close)

    def problem(self, name: str) -> LiveModel:
        """The live model of a problem, 404 for an unknown one; a problem file that came after the start is found here."""
        if name not in self.live and name in problems.names(self.settings.problems):
            found, self.broken = open_problems(self.settings, but=self.live)
            self.live.update(found)
            self.loading.submit(self.starter.adopt, found)
        if name not in self.live:
            why = self.broken.get(name, f"Known: {', '.join(self.live) or 'none'}.")
            raise HTTPException(404, f"Unknown problem {name!r}. {why}")
        return self.live[name]

    def model(self, name: str) -> Model:
        """The model that answers now, 503 when there is none."""
        live = self.problem(name)
        if (model := live.state.current) is None:
            raise HTTPException(503, f"No model of {name!r} serves yet. {live.complaint or 'Promote a version first.'}")
        return model

    async def answer(self, name: str, rows: Rows, *, logged: bool = True) -> Request:
        """Answer a request with the one model that is live as it begins; every protocol comes through here.

        Raises: HTTPException: 404 for an unknown problem, 503 without a model. DataError: a row is not what the model takes.
        """
        model = self.model(name)
        loop = asyncio.get_running_loop()
        request = await loop.run_in_executor(self.scoring, answer, model, rows, name, self.settings.now())
        if logged:
            self.log.put(model.hidden(request, self.live[name].problem.source.key))
        return request
