"""The HTTP face of the service.

Predictions are open to whoever reaches the port, so the server binds the loopback address unless told otherwise; moving a
version needs the token. Every answer that is not 2xx is {"error": "..."}.
"""

import asyncio
from typing import Any

from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse, Response
from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException as StarletteHTTPException

from ml.errors import ConfigError, DataError, EvergreenError, RefusedError, TransientError
from ml.serving import describe, metrics
from ml.serving.answer import TooLargeError, parse, reply
from ml.serving.schemas import Answer, Failure, Question, Version
from ml.serving.service import Service
from ml.settings import Settings
from ml.store import store_of

MAX_BODY_BYTES = 32 * 2**20
STATUS: dict[type[Exception], int] = {
    TooLargeError: 413,
    DataError: 422,
    RefusedError: 409,
    ConfigError: 503,
    TransientError: 503,
}
FAILURES: dict[int | str, dict[str, Any]] = {
    404: {"model": Failure, "description": "no such problem"},
    413: {"model": Failure, "description": "too many rows or bytes"},
    422: {"model": Failure, "description": "the body is not what was expected; row and column are named"},
    503: {"model": Failure, "description": "no model yet, or something the service needs is away"},
}
REFUSALS: dict[int | str, dict[str, Any]] = {
    401: {"model": Failure, "description": "the token is missing or wrong"},
    403: {"model": Failure, "description": "no token is configured, so versions cannot be moved over HTTP"},
    409: {"model": Failure, "description": "the version cannot serve; the old one goes on"},
}


def create_app(settings: Settings, service: Service | None = None) -> FastAPI:
    """The application; nothing is loaded before it starts."""
    service = service or Service(settings)
    app = FastAPI(
        title="Evergreen predictions",
        version="1",
        description="Scores rows with the champion of each problem. A request is answered by one version from its first row to "
        "its last, and every answered row is in the request log. `GET /problems/{problem}` shows the columns and an example.",
        lifespan=service.running,
    )
    _handle_errors(app)
    _routes(app, service)
    _moves(app, service)
    return app


def _routes(app: FastAPI, service: Service) -> None:
    loop = asyncio.get_running_loop

    @app.get("/", include_in_schema=False)
    async def index() -> RedirectResponse:
        return RedirectResponse("/docs")

    @app.get("/health", summary="What serves, and whether the request log keeps up")
    async def health() -> dict[str, Any]:
        return describe.together([service.health(), *await service.siblings.ask()])

    @app.get("/metrics", summary="Figures for Prometheus", response_class=Response)
    async def show_metrics() -> Response:
        held = metrics.Held(service.live, lambda: service.log.counts, lambda name: store_of(name, service.settings))
        return Response(await asyncio.to_thread(metrics.exposition, held), media_type=metrics.CONTENT_TYPE)

    @app.get("/problems", summary="The problems and their live versions")
    async def list_problems() -> list[dict[str, Any]]:
        return [describe.short(live) for live in service.live.values()]

    @app.get("/problems/{problem}", summary="Columns, example and live version of a problem", responses=_only(404))
    async def show_problem(problem: str) -> dict[str, Any]:
        return describe.full(service.problem(problem))

    @app.post(
        "/problems/{problem}/predict",
        summary="Score rows",
        response_model=Answer,
        responses=FAILURES,
        openapi_extra=_body(Question),
    )
    async def predict(problem: str, request: Request, log: bool = True) -> Response:
        """`log=false` keeps the rows out of the request log: for checks of the service itself, with the token."""
        service.problem(problem)
        if not log:
            service.access.authorise(request.headers)
        service.pressure.admit()
        rows = await loop().run_in_executor(service.scoring, parse, await read_body(request))
        return Response(reply(await service.answer(problem, rows, logged=log)), media_type="application/json")


def _moves(app: FastAPI, service: Service) -> None:
    """What changes the live version; both ask for the token."""

    @app.put(
        "/problems/{problem}/version",
        summary="Make a version live",
        responses=_only(404, 422) | REFUSALS,
        openapi_extra=_body(Version) | _BEARER,
    )
    async def put_version(problem: str, request: Request) -> dict[str, Any]:
        """The version is loaded from the store, its digest compared, and its own example scored, before it takes over in every
        worker of the service; the answer comes when none answers with the one before any more."""
        service.access.authorise(request.headers)
        service.problem(problem)
        wanted = _version(await read_body(request))
        return describe.short(await service.move(problem, lambda live: live.serve(wanted, "deploy")))

    @app.delete("/problems/{problem}/version", summary="Answer no more", responses=_only(404) | REFUSALS, openapi_extra=_BEARER)
    async def delete_version(problem: str, request: Request) -> dict[str, Any]:
        """For a version that must not answer and has none before it."""
        service.access.authorise(request.headers)
        return describe.short(await service.move(problem, lambda live: live.withdraw()))


async def read_body(request: Request) -> bytes:
    """The body, 413 as soon as it is known to be larger than MAX_BODY_BYTES."""
    parts: list[bytes] = []
    num_bytes = int(declared) if (declared := request.headers.get("content-length", "0")).isdecimal() else 0
    if num_bytes <= MAX_BODY_BYTES:
        num_bytes = 0
        async for part in request.stream():
            parts.append(part)
            num_bytes += len(part)
            if num_bytes > MAX_BODY_BYTES:
                break
    if num_bytes > MAX_BODY_BYTES:
        raise HTTPException(413, f"The body is larger than {MAX_BODY_BYTES // 2**20} MiB. Send several requests.")
    return b"".join(parts)


def _version(body: bytes) -> Version:
    try:
        return Version.model_validate_json(body)
    except ValidationError as error:
        what = "; ".join(f"{'.'.join(map(str, detail['loc'])) or 'body'}: {detail['msg']}" for detail in error.errors())
        raise DataError(f'{what}. Send {{"version": 3, "run_key": "...", "model_digest": "<sha256>"}}.') from error


def failure(error: Exception) -> tuple[int, str, dict[str, str]]:
    """Status, message and headers that an error is answered with."""
    if isinstance(error, StarletteHTTPException):
        return error.status_code, str(error.detail), dict(error.headers or {})
    if isinstance(error, RequestValidationError):
        return 422, str(error), {}
    if isinstance(error, EvergreenError):
        return next((status for kind, status in STATUS.items() if isinstance(error, kind)), 500), str(error), {}
    return 500, "An error of the service itself; its log holds the traceback.", {}


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


def _body(model: type[BaseModel]) -> dict[str, Any]:
    """Documents a body that is read by hand, because its size is checked first."""
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": model.model_json_schema()}}}}


def _only(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {status: FAILURES[status] for status in statuses}
