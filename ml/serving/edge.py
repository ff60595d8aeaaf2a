"""The outermost part of the service's HTTP face: every request is let in here, counted, and where asked for told and traced."""

import json
import logging
import time
from typing import TYPE_CHECKING

from fastapi import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ml.keys import Scope as Asking
from ml.serving import browsers, metrics, telemetry

if TYPE_CHECKING:
    from ml.serving.access import Access

logger = logging.getLogger("ml.serving.requests")
# What holds nothing that a key protects: pages, their parts, and what probes ask. All else takes a key.
PUBLIC = frozenset({"/", "/docs", "/openapi.json", "/favicon.ico", "/health", "/v2/health/live", "/v2/health/ready"})
PUBLIC_BELOW = ("/static/",)
ASKED = frozenset({b"authorization", b"host", b"origin"})
CHANGING = frozenset({"PUT", "DELETE", "PATCH"})
PROTOCOLS = {"/problems": "json", "/v1": "tensorflow", "/v2": "open_inference"}


class Edge:
    """An ASGI application around another one.

    Args:
        told: a log line for every request.
    """

    def __init__(self, app: ASGIApp, access: "Access", *, told: bool = False) -> None:
        self._app, self._access, self._told = app, access, told
        self._span = telemetry.tracing()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 500

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        path = scope["path"]
        try:
            if self._span is None:
                await self._let_in(scope, receive, sending)
            else:
                await self._traced(scope, receive, sending)
        finally:
            metrics.responded(PROTOCOLS.get(path[: path.find("/", 1)], "other"), status)
            if self._told:
                seconds = round(time.perf_counter() - began, 6)
                fields = {"method": scope["method"], "path": path, "status": status, "seconds": seconds}
                logger.info("%s %s %d", scope["method"], path, status, extra={"fields": fields})

    async def _traced(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert self._span is not None  # noqa: S101 - asked before
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        with self._span(f"{scope['method']} {scope['path']}", headers):
            await self._let_in(scope, receive, send)

    async def _let_in(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            self._admit(scope)
        except HTTPException as error:
            content = json.dumps({"error": error.detail}).encode()
            headers = {"content-type": "application/json", "content-length": str(len(content))} | dict(error.headers or {})
            pairs = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
            await send({"type": "http.response.start", "status": error.status_code, "headers": pairs})
            await send({"type": "http.response.body", "body": content})
            return
        await self._app(scope, receive, send)

    def _admit(self, scope: Scope) -> None:
        path = scope["path"]
        if path in PUBLIC or path.startswith(PUBLIC_BELOW) or scope["method"] == "OPTIONS":
            return
        headers = {name: value.decode("latin-1") for name, value in scope["headers"] if name in ASKED}
        host, origin = headers.get(b"host", ""), headers.get(b"origin", "")
        browsers.refuse_foreign(scope["method"], host=host, origin=origin, unlocked=self._access.open)
        wanted: Asking = "deploy" if scope["method"] in CHANGING else "feedback" if path.endswith("/feedback") else "predict"
        self._access.admit(headers.get(b"authorization", ""), wanted)
