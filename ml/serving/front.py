"""The way in: requests for predictions by the shortest path, everything else through the application.

A framework's routing, dependencies and response classes cost more than the model's answer, so `POST /problems/NAME/predict`
without a query is answered here. What it answers, errors included, is what the application's own route would.
"""

import asyncio
import json
import logging

from fastapi import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from ml.serving.answer import Rows, parse, reply
from ml.serving.http import MAX_BODY_BYTES, failure
from ml.serving.loaded import Model
from ml.serving.routing import ENTITY_HEADER
from ml.serving.service import Service

logger = logging.getLogger("uvicorn.error")
BEFORE, AFTER = "/problems/", "/predict"
SMALL_BYTES = 64 * 1024  # a larger body is read in a thread
BODY_S = 30.0  # for a client to send what it began
ENTITY = ENTITY_HEADER.lower().encode()
JSON = (b"content-type", b"application/json")


class Front:
    """The service as an ASGI application."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app = app
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http" and scope["method"] == "POST" and not scope["query_string"]:
            path = scope["path"]
            if (
                path.startswith(BEFORE)
                and path.endswith(AFTER)
                and (name := path[len(BEFORE) : -len(AFTER)]) in self._service.live
            ):
                await self._predict(name, scope, receive, send)
                return
        await self._app(scope, receive, send)

    async def _predict(self, name: str, scope: Scope, receive: Receive, send: Send) -> None:
        status, headers = 200, [JSON]
        try:
            self._service.pressure.admit()
            body = await _body(scope, receive)
            rows = await self._rows(self._service.model(name), body)
            entity = _entity(scope) if self._service.live[name].state.trial else None
            content = reply(await self._service.answer(name, rows, entity=entity))
        except Exception as error:  # whatever it is, the client hears of it
            status, told, more = failure(error)
            if status == 500:
                logger.exception("a prediction of %s failed", name)
            content = json.dumps({"error": told}).encode()
            headers += [(header.lower().encode(), value.encode()) for header, value in more.items()]
        headers.append((b"content-length", str(len(content)).encode()))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    async def _rows(self, model: Model, body: bytes) -> Rows:
        if len(body) <= SMALL_BYTES:
            return _read(model, body)
        return await asyncio.get_running_loop().run_in_executor(self._service.scoring, _read, model, body)


def _entity(scope: Scope) -> str | None:
    """Whom a request says it is about."""
    return next((value.decode("latin-1") for header, value in scope["headers"] if header == ENTITY), None)


def _read(model: Model, body: bytes) -> Rows:
    """Rows, by the quick way if there is nothing to complain of."""
    return model.decoder.read(body) or parse(body)


async def _body(scope: Scope, receive: Receive) -> bytes:
    """The body of a request.

    Raises: HTTPException: 413 as soon as it is known to be larger than MAX_BODY_BYTES, 408 when it does not come.
    """
    message = await receive()
    body: bytes = message.get("body", b"")
    if not message.get("more_body"):
        return _checked(body)
    declared = next((value for header, value in scope["headers"] if header == b"content-length"), b"0")
    parts, num_bytes = [body], len(body)
    try:
        async with asyncio.timeout(BODY_S):
            while message.get("more_body") and max(num_bytes, int(declared)) <= MAX_BODY_BYTES:
                message = await receive()
                parts.append(message.get("body", b""))
                num_bytes += len(parts[-1])
    except TimeoutError as error:
        raise HTTPException(408, f"The body did not come within {BODY_S:.0f} s. Send it again.") from error
    return _checked(b"".join(parts) if int(declared) <= MAX_BODY_BYTES else None)


def _checked(body: bytes | None) -> bytes:
    if body is None or len(body) > MAX_BODY_BYTES:
        raise HTTPException(413, f"The body is larger than {MAX_BODY_BYTES // 2**20} MiB. Send several requests.")
    return body
