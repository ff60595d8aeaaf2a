"""The HTTP face of the service.

Predictions are open to whoever reaches the port, so the server binds the loopback address unless told otherwise; moving a
version needs the token. Every answer that is not 2xx is {"error": "..."}.
"""

import asyncio
import hmac
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse, Response
from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException as StarletteHTTPException

from ml import problem as problems
from ml.errors import ConfigError, DataError, EvergreenError, RefusedError, TransientError
from ml.serving import describe
from ml.serving.answer import TooLargeError, answer
from ml.serving.live import LiveModel, Model
from ml.serving.log import RequestLog
from ml.serving.schemas import Answer, Failure, Question, Version
from ml.serving.start import Starter, open_problems
from ml.settings import Settings

MAX_BODY_BYTES = 32 * 2**20
SCORING_THREADS = 2  # scoring mostly holds the interpreter: more threads cost, and one would let a large request block all
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


class Service:
    """All the service holds: live models, the request log, and threads to score in."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
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

    def authorise(self, request: Request) -> None:
        """Let pass only who has the token."""
        wanted = self.settings.serving_token
        if not wanted:
            raise HTTPException(403, "No token is configured, so this is switched off. Set EVERGREEN_SERVING_TOKEN and restart.")
        given = request.headers.get("authorization", "").encode("latin-1")
        if not hmac.compare_digest(given, f"Bearer {wanted}".encode()):
            raise HTTPException(401, "Send the header 'Authorization: Bearer TOKEN' with the value of EVERGREEN_SERVING_TOKEN.")

    def predict(self, name: str, body: bytes, logged: bool) -> bytes:
        """Answer a request with the one model that is live as it begins."""
        model = self.model(name)
        reply, request = answer(model, body, problem=name, served_at=self.settings.now())
        if logged:
            self.log.put(model.hidden(request, self.live[name].problem.source.key))
        return reply


def create_app(settings: Settings) -> FastAPI:
    """The application; nothing is loaded before it starts."""
    service = Service(settings)
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
        return describe.health(service.live, service.broken, service.log.counts, service.starter.ledger_complaint)

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
            service.authorise(request)
        body = await read_body(request)
        return Response(
            await loop().run_in_executor(service.scoring, service.predict, problem, body, log), media_type="application/json"
        )


def _moves(app: FastAPI, service: Service) -> None:
    """What changes the live version; both ask for the token."""
    loop = asyncio.get_running_loop

    @app.put(
        "/problems/{problem}/version",
        summary="Make a version live",
        responses=_only(404, 422) | REFUSALS,
        openapi_extra=_body(Version) | _BEARER,
    )
    async def put_version(problem: str, request: Request) -> dict[str, Any]:
        """The version is loaded from the store, its digest compared, and its own example scored, before it takes over."""
        service.authorise(request)
        live = service.problem(problem)
        wanted = _version(await read_body(request))
        await loop().run_in_executor(service.loading, live.serve, wanted, "deploy")
        return describe.short(live)

    @app.delete("/problems/{problem}/version", summary="Answer no more", responses=_only(404) | REFUSALS, openapi_extra=_BEARER)
    async def delete_version(problem: str, request: Request) -> dict[str, Any]:
        """For a version that must not answer and has none before it."""
        service.authorise(request)
        live = service.problem(problem)
        await loop().run_in_executor(service.loading, live.withdraw)
        return describe.short(live)


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


def _handle_errors(app: FastAPI) -> None:
    def saying(status: int) -> Callable[[Request, Exception], Awaitable[JSONResponse]]:
        async def say(_request: Request, error: Exception) -> JSONResponse:
            return JSONResponse({"error": str(error)}, status)

        return say

    async def say_http(_request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, StarletteHTTPException)  # noqa: S101 - registered for nothing else
        return JSONResponse({"error": str(error.detail)}, error.status_code, headers=error.headers)

    async def say_internal(_request: Request, _error: Exception) -> JSONResponse:
        return JSONResponse({"error": "An error of the service itself; its log holds the traceback."}, 500)

    for kind, status in STATUS.items():
        app.add_exception_handler(kind, saying(status))
    app.add_exception_handler(EvergreenError, saying(500))
    app.add_exception_handler(RequestValidationError, saying(422))
    app.add_exception_handler(StarletteHTTPException, say_http)
    app.add_exception_handler(Exception, say_internal)


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
