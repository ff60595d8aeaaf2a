"""A client that costs little: raw HTTP/1.1 over connections that stay open, the request made once, latencies of every answer.

Written here because a benchmark should run where only Python is: wrk must be installed by the system, and a client on httpx or
aiohttp costs several times what the service does, so that it would measure itself. One answer takes it about 25 microseconds.
"""

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import urlsplit

import uvloop


@dataclass
class Measured:
    """Answers of one load: how long each took, seconds, and how many were not 200."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    failed: int = 0

    @property
    def per_second(self) -> float:
        """Answers a second."""
        return len(self.latencies) / self.seconds

    def percentile(self, share: float) -> float:
        """Latency that this share of answers does not exceed, milliseconds."""
        return 1000 * sorted(self.latencies)[min(len(self.latencies) - 1, int(share * len(self.latencies)))]


def request_of(url: str, body: bytes, headers: dict[str, str] | None = None) -> bytes:
    """The bytes of a POST."""
    parts = urlsplit(url)
    lines = [f"POST {parts.path} HTTP/1.1", f"Host: {parts.netloc}", "Content-Type: application/json"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()] + [f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode() + body


def load(url: str, request: bytes, *, connections: int, seconds: float) -> Measured:
    """Every connection asks again as soon as it has its answer."""
    parts = urlsplit(url)
    return uvloop.run(_load(parts.hostname or "", parts.port or 80, request, connections=connections, seconds=seconds))


async def _load(host: str, port: int, request: bytes, *, connections: int, seconds: float) -> Measured:
    measured = Measured()
    loop = asyncio.get_running_loop()
    began = time.perf_counter()
    made = [
        await loop.create_connection(lambda: _Asking(request, measured, began + seconds), host, port) for _ in range(connections)
    ]
    await asyncio.gather(*(protocol.ended for _, protocol in made))
    measured.seconds = time.perf_counter() - began
    return measured


class _Asking(asyncio.Protocol):
    """One connection. An answer must say how long it is."""

    def __init__(self, request: bytes, measured: Measured, end: float) -> None:
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._request, self._measured, self._end = request, measured, end
        self._held = b""

    def connection_made(self, transport: Any) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._ask()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.ended.done():
            self._measured.failed += 1
            self.ended.set_result(None)

    def data_received(self, data: bytes) -> None:
        self._held += data
        head = self._held.find(b"\r\n\r\n")
        if head < 0:
            return
        place = self._held.lower().find(b"content-length:", 0, head)
        length = int(self._held[place + 15 : self._held.find(b"\r\n", place)])
        if len(self._held) < head + 4 + length:
            return
        now = time.perf_counter()
        self._measured.latencies.append(now - self._asked)
        self._measured.failed += not self._held.startswith(b"HTTP/1.1 200")
        if now < self._end:
            self._ask()
        else:
            self.ended.set_result(None)
            self._transport.close()

    def _ask(self) -> None:
        self._held = b""
        self._asked = time.perf_counter()
        self._transport.write(self._request)
