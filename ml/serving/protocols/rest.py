"""The routes of the two other REST protocols. Errors are {"error": "..."} in both, 400 for a body that is not as expected."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any, TypeVar

from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ValidationError
from pydantic_core import from_json, to_json

from ml import requests
from ml.errors import DataError
from ml.scoring import Scorer
from ml.serving.answer import Rows, TooLargeError
from ml.serving.http import body_of, failures, read_body
from ml.serving.protocols import tfserving, v2
from ml.serving.routing import ENTITY_HEADER
from ml.serving.service import Service

Body = TypeVar("Body", bound=BaseModel)
V2, TF = "Open Inference Protocol, version 2", "TensorFlow Serving"
ASKING = failures(400, 401, 403, 404, 413, 429, 503)


def add_v2(app: FastAPI, service: Service) -> None:
    """Health, metadata and inference of the Open Inference Protocol."""

    @app.get("/v2", tags=[V2], summary="Server metadata")
    async def server() -> dict[str, Any]:
        return {"name": "evergreen", "version": app.version, "extensions": []}

    @app.get("/v2/health/live", tags=[V2], summary="Server live")
    async def live() -> dict[str, bool]:
        return {"live": True}

    @app.get("/v2/health/ready", tags=[V2], summary="Server ready", responses={503: {"description": "not ready"}})
    async def ready() -> Response:
        """Every problem that has a champion answers; one that has none yet does not count."""
        waiting = [one for one in service.live.values() if not one.state.loaded]
        holds = not any(one.complaint or service.starter.ledger_complaint for one in waiting)
        return JSONResponse({"ready": holds}, 200 if holds else 503)

    for place, which in (("/v2/models/{problem}", live_version), ("/v2/models/{problem}/versions/{version}", named_version)):

        @app.get(place, tags=[V2], summary="Model metadata", responses=failures(404, 503))
        async def metadata(problem: str, version: Annotated[int | None, Depends(which)]) -> dict[str, Any]:
            model = service.model(problem, version)
            return v2.metadata(problem, service.versions(problem), model.scorer)

        @app.get(
            f"{place}/ready", tags=[V2], summary="Model ready", responses=failures(404) | {503: {"description": "not ready"}}
        )
        async def model_ready(problem: str, version: Annotated[int | None, Depends(which)]) -> Response:
            holds = bool(service.versions(problem))
            if holds:
                service.model(problem, version)
            return JSONResponse({"name": problem, "ready": holds}, 200 if holds else 503)

        @app.post(
            f"{place}/infer",
            tags=[V2],
            summary="Score rows",
            response_model=v2.Inferred,
            responses=ASKING,
            openapi_extra=body_of(v2.Inference),
        )
        async def infer(problem: str, request: Request, version: Annotated[int | None, Depends(which)]) -> Response:
            """Every column is one tensor. Missing values are null, NaN or an empty string."""
            asked, answered, scorer = await _answered(service, request, problem, version, (v2.Inference, v2.rows))
            return _said(v2.reply(asked, answered, scorer), answered)


def add_tfserving(app: FastAPI, service: Service) -> None:
    """Status, metadata and predict of TensorFlow Serving."""
    for place, which in (("/v1/models/{problem}", live_version), ("/v1/models/{problem}/versions/{version}", named_version)):

        @app.post(
            f"{place}:predict",
            tags=[TF],
            summary="Score rows",
            response_model=tfserving.Predicted,
            responses=ASKING,
            openapi_extra=body_of(tfserving.Prediction),
        )
        async def predict(problem: str, request: Request, version: Annotated[int | None, Depends(which)]) -> Response:
            """Answers what the exported model answers, by its signature; version and request id are in the headers."""
            asked, answered, _ = await _answered(service, request, problem, version, (tfserving.Prediction, tfserving.rows))
            return _said(tfserving.reply(asked, answered), answered)

        @app.get(f"{place}/metadata", tags=[TF], summary="Signature of the model", responses=failures(404, 503))
        async def metadata(problem: str, version: Annotated[int | None, Depends(which)]) -> dict[str, Any]:
            model = service.model(problem, version)
            return tfserving.metadata(problem, model.id.version, model.scorer)

        @app.get(place, tags=[TF], summary="Versions that can be asked", responses=failures(404))
        async def status(problem: str, version: Annotated[int | None, Depends(which)]) -> dict[str, Any]:
            loaded = [one for one in service.versions(problem) if version in (None, one)]
            if not loaded:
                raise HTTPException(404, f"Could not find any versions of model {problem}")
            return tfserving.status(loaded)


def live_version() -> None:
    """An address without a version asks for the one that answers now."""


def named_version(version: str) -> int:
    """The version that an address names, 404 when it is no number."""
    if not (version.isascii() and version.isdecimal() and len(version) < 10):
        raise HTTPException(404, f"There is no version {version[:100]!r}. Versions are whole numbers.")
    return int(version)


Reader = tuple[type[Body], Callable[[Body, Scorer], Rows]]


async def _answered(
    service: Service, request: Request, problem: str, version: int | None, reader: Reader[Body]
) -> tuple[Body, requests.Request, Scorer]:
    """What was asked, what was answered, and the model whose names and types it was read with."""
    scorer = service.model(problem, version).scorer
    service.pressure.admit()
    body = await read_body(request)
    kind, rows_of = reader

    def parse() -> tuple[Body, Rows]:
        asked = _read(body, kind)
        return asked, rows_of(asked, scorer)

    with _bad_request():
        asked, rows = await asyncio.get_running_loop().run_in_executor(service.scoring, parse)
        entity = request.headers.get(ENTITY_HEADER)
        return asked, await service.answer(problem, rows, version=version, entity=entity), scorer


@contextmanager
def _bad_request() -> Iterator[None]:
    try:
        yield
    except TooLargeError:
        raise
    except DataError as error:
        raise HTTPException(400, str(error)) from error


def _read(body: bytes, kind: type[Body]) -> Body:
    """A checked body; NaN and Infinity are read, as TensorFlow Serving does and Python's json writes them.

    Raises: DataError: no JSON, or another shape.
    """
    try:
        return kind.model_validate(from_json(body, allow_inf_nan=True))
    except ValidationError as error:
        what = "; ".join(f"{'.'.join(map(str, one['loc'])) or 'body'}: {one['msg']}" for one in error.errors()[:3])
        raise DataError(f"{what}. See /docs for an example.") from error
    except ValueError as error:
        raise DataError(f"The body is not JSON: {error}. See /docs for an example.") from error


def _said(content: dict[str, Any], answered: requests.Request) -> Response:
    headers = {"x-evergreen-version": str(answered.version), "x-evergreen-request-id": answered.request_id}
    return Response(to_json(content), media_type="application/json", headers=headers)
