"""The HTTP face of the service.

Predictions are open to whoever reaches the port, so the server binds the loopback address unless told otherwise; moving a
version needs the token. Every answer that is not 2xx is {"error": "..."}.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse, Response
from starlette.exceptions import HTTPException as StarletteHTTPException

from ml.errors import EvergreenError
from ml.serving import describe, feedback, metrics, protocols
from ml.serving.answer import parse, reply
from ml.serving.http import body_of, failure, failures, read_body, read_json
from ml.serving.protocols import tfgrpc
from ml.serving.routing import ENTITY_HEADER
from ml.serving.schemas import Answer, Question, Trying, Version
from ml.serving.service import Service
from ml.settings import Settings
from ml.store import store_of

OWN = "Predictions"


def create_app(settings: Settings, service: Service | None = None) -> FastAPI:
    """The application; nothing is loaded before it starts."""
    held = service or Service(settings)

    @asynccontextmanager
    async def running(app: FastAPI) -> AsyncIterator[None]:
        async with held.running(app), tfgrpc.running(held):
            yield

    app = FastAPI(
        title="Evergreen predictions",
        version="1",
        description="Scores rows with the champion of each problem. A request is answered by one version from its first row to "
        "its last, and every answered row is in the request log. `GET /problems/{problem}` shows the columns and an example.",
        lifespan=running,
        docs_url=None,  # FastAPI's own page loads its script from elsewhere
        redoc_url=None,
    )
    _handle_errors(app)
    _routes(app, held)
    feedback.add(app, held)
    _moves(app, held)
    protocols.add(app, held)
    return app


def _routes(app: FastAPI, service: Service) -> None:
    loop = asyncio.get_running_loop

    @app.get("/", include_in_schema=False)
    async def index() -> RedirectResponse:
        return RedirectResponse("/docs")

    @app.get("/health", tags=["Service"], summary="What serves, and whether the request log keeps up")
    async def health() -> dict[str, Any]:
        return describe.together([service.health(), *await service.siblings.ask()])

    @app.get("/metrics", tags=[OWN], summary="Figures for Prometheus", response_class=Response)
    async def show_metrics() -> Response:
        held = metrics.Held(service.live, lambda: service.log.counts, lambda name: store_of(name, service.settings))
        return Response(await asyncio.to_thread(metrics.exposition, held), media_type=metrics.CONTENT_TYPE)

    @app.get("/problems", tags=[OWN], summary="The problems and their live versions")
    async def list_problems() -> list[dict[str, Any]]:
        return [describe.short(live) for live in service.live.values()]

    @app.get(
        "/problems/{problem}",
        tags=[OWN],
        summary="Columns, example and live version of a problem",
        responses=failures(404),
    )
    async def show_problem(problem: str) -> dict[str, Any]:
        told = describe.full(service.problem(problem))
        if told["rollout"] is None:
            return told
        others = [one["problems"].get(problem, {}).get("rollout") for one in await service.siblings.ask()]
        return told | {"rollout": describe.rollout_together([told["rollout"], *others])}

    @app.post(
        "/problems/{problem}/predict",
        tags=[OWN],
        summary="Score rows",
        response_model=Answer,
        responses=failures(401, 403, 404, 413, 422, 503),
        openapi_extra=body_of(Question),
    )
    async def predict(problem: str, request: Request, log: bool = True) -> Response:
        """`log=false` keeps the rows out of the request log: for checks of the service itself, with the token."""
        service.problem(problem)
        if not log:
            service.access.authorise(request.headers)
        service.pressure.admit()
        rows = await loop().run_in_executor(service.scoring, parse, await read_body(request))
        answered = await service.answer(problem, rows, logged=log, entity=request.headers.get(ENTITY_HEADER))
        return Response(reply(answered), media_type="application/json")


def _moves(app: FastAPI, service: Service) -> None:
    """What changes the live version; both ask for the token."""

    @app.put(
        "/problems/{problem}/version",
        tags=["Versions"],
        summary="Make a version live",
        responses=failures(401, 403, 404, 409, 413, 422, 503),
        openapi_extra=body_of(Version) | _BEARER,
    )
    async def put_version(problem: str, request: Request) -> dict[str, Any]:
        """The version is loaded from the store, its digest compared, and its own example scored, before it takes over in every
        worker of the service; the answer comes when none answers with the one before any more."""
        service.access.authorise(request.headers)
        service.problem(problem)
        wanted = read_json(await read_body(request), Version, _VERSION)
        return describe.short(await service.move(problem, lambda live: live.serve(wanted, "deploy")))

    @app.put(
        "/problems/{problem}/rollout",
        tags=["Versions"],
        summary="Try a challenger beside the live version",
        responses=failures(401, 403, 404, 409, 422),
        openapi_extra=body_of(Trying) | _BEARER,
    )
    async def put_rollout(problem: str, request: Request) -> dict[str, Any]:
        """It looks on, or answers its share of entities, in every worker; a guardrail that it breaks ends that at once."""
        service.access.authorise(request.headers)
        service.problem(problem)
        wanted = read_json(await read_body(request), Trying, _TRYING)
        return describe.short(await service.move(problem, lambda live: live.attempt(wanted.version, wanted.plan, "deploy")))

    @app.delete(
        "/problems/{problem}/version",
        tags=["Versions"],
        summary="Answer no more",
        responses=failures(401, 403, 404, 409),
        openapi_extra=_BEARER,
    )
    async def delete_version(problem: str, request: Request) -> dict[str, Any]:
        """For a version that must not answer and has none before it."""
        service.access.authorise(request.headers)
        return describe.short(await service.move(problem, lambda live: live.withdraw()))


_VERSION = '{"version": 3, "run_key": "...", "model_digest": "<sha256>"}'
_PLAN = '{"id": "...", "mode": "canary", "challenger": {"version": 4, ...}, "share": 0.05}'
_TRYING = f'{{"version": {{"version": 3, ...}}, "plan": {_PLAN}}}'


def _handle_errors(app: FastAPI) -> None:
    async def say(_request: Request, error: Exception) -> JSONResponse:
        status, told, headers = failure(error)
        return JSONResponse({"error": told}, status, headers=headers)

    for kind in (EvergreenError, RequestValidationError, StarletteHTTPException, Exception):
        app.add_exception_handler(kind, say)


_BEARER: dict[str, Any] = {
    "parameters": [
        {"name": "Authorization", "in": "header", "required": True, "schema": {"type": "string"}, "description": "Bearer TOKEN"}
    ]
}
