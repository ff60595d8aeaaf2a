"""A bounded load of HTTP requests over loopback: so many connections, each asks again as soon as it is answered."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np

from ml.records import Step

BUSY, WELL = 503, 200
PAUSE_S = 0.02  # after a refusal or a lost connection; a client that asks at once would only measure refusals
PATIENCE_S = 30.0


@dataclass
class _Tally:
    """What came of the requests; times are seconds of those that were answered."""

    times: list[float] = field(default_factory=list)
    busy: int = 0
    failed: int = 0


def request(path: str, body: bytes, *, host: str, token: str) -> bytes:
    """The bytes of one POST over a connection that stays open."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def drive(port: int, asked: Sequence[bytes], *, connections: int, seconds: float) -> Step:
    """Ask 127.0.0.1 for some time; requests are taken in turn.

    Returns: rate and latencies of requests answered 200; latencies are NaN when none was.
    """
    tally = _Tally()
    began = time.perf_counter()
    asyncio.run(_drive(port, asked, connections, began + seconds, tally))
    taken = time.perf_counter() - began
    p50, p99 = np.quantile(tally.times, (0.5, 0.99)) * 1000 if tally.times else (float("nan"), float("nan"))
    return Step(
        connections=connections,
        per_second=len(tally.times) / taken,
        p50_ms=p50,
        p99_ms=p99,
        busy=tally.busy,
        failed=tally.failed,
    )


async def _drive(port: int, asked: Sequence[bytes], connections: int, end: float, tally: _Tally) -> None:
    every = [asked[place::connections] or asked for place in range(connections)]
    await asyncio.gather(*(_connection(port, own, end, tally) for own in every))


async def _connection(port: int, asked: Sequence[bytes], end: float, tally: _Tally) -> None:
    while time.perf_counter() < end:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            tally.failed += 1
            await asyncio.sleep(PAUSE_S)
            continue
        try:
            await asyncio.wait_for(_ask(reader, writer, asked, end, tally), end - time.perf_counter() + PATIENCE_S)
        except (OSError, EOFError, TimeoutError, ValueError):
            tally.failed += 1
            await asyncio.sleep(PAUSE_S)
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()


async def _ask(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, asked: Sequence[bytes], end: float, tally: _Tally
) -> None:
    turn = 0
    while (began := time.perf_counter()) < end:
        writer.write(asked[turn % len(asked)])
        status = await _status(reader)
        if status == WELL:
            tally.times.append(time.perf_counter() - began)
        else:
            tally.busy += status == BUSY
            tally.failed += status != BUSY
            await asyncio.sleep(PAUSE_S)
        turn += 1


async def _status(reader: asyncio.StreamReader) -> int:
    """Read one response whole.

    Raises: EOFError: the connection was closed. ValueError: the response has no length.
    """
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    _, found, rest = head.partition(b"content-length:")
    if not found:
        raise ValueError("no content-length")
    await reader.readexactly(int(rest.partition(b"\r\n")[0]))
    return int(head.split(b" ", 2)[1])
