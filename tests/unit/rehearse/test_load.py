"""The load test's client against a server that answers, refuses, breaks and hangs up; and where the knee is."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from ml.records import Step
from ml.rehearse import client
from ml.rehearse.load import knee

ANSWERS = {
    b"well": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
    b"busy": b"HTTP/1.1 503 Busy\r\nRetry-After: 1\r\ncontent-length: 4\r\n\r\nbusy",
    b"wrong": b"HTTP/1.1 422 No\r\ncontent-length: 0\r\n\r\n",
    b"bare": b"HTTP/1.1 200 OK\r\n\r\n",
    b"gone": b"",
}


@contextmanager
def server() -> Iterator[int]:
    """Answers as the body asks."""
    loop, ready = asyncio.new_event_loop(), threading.Event()
    ports: list[int] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                body = await reader.readexactly(int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]))
                assert b"Bearer secret" in head
                writer.write(ANSWERS[body])
                if body in (b"gone", b"bare"):
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def main() -> None:
        serving = await asyncio.start_server(answer, "127.0.0.1", 0)
        ports.append(serving.sockets[0].getsockname()[1])
        ready.set()
        async with serving:
            await asyncio.Event().wait()

    def run() -> None:
        task = loop.create_task(main())
        ended.append(task)
        try:
            loop.run_until_complete(task)
        except asyncio.CancelledError:
            pass
        finally:
            loop.close()

    ended: list[asyncio.Task[None]] = []
    thread = threading.Thread(target=run)
    thread.start()
    ready.wait(10)
    yield ports[0]
    loop.call_soon_threadsafe(ended[0].cancel)
    thread.join(10)


def drive(port: int, *bodies: bytes, connections: int = 2) -> Step:
    asked = [client.request("/predict", body, host="127.0.0.1", token="secret") for body in bodies]
    return client.drive(port, asked, connections=connections, seconds=0.3)


def test_every_kind_of_answer_is_counted_as_what_it_is():
    with server() as port:
        well = drive(port, b"well", b"well")
        assert well.per_second > 20 and 0 < well.p50_ms <= well.p99_ms and (well.busy, well.failed) == (0, 0)
        busy = drive(port, b"busy")
        assert busy.busy > 0 and (busy.per_second, busy.failed) == (0, 0)
        for body in (b"wrong", b"gone", b"bare"):
            broken = drive(port, body)
            assert broken.failed > 0 and (broken.per_second, broken.busy) == (0, 0), body


def test_a_service_that_is_not_there_is_a_failure_and_no_error():
    with server() as port:
        pass
    gone = drive(port, b"well")
    assert gone.failed > 0 and gone.per_second == 0


@pytest.mark.parametrize(
    ("rates", "expected"),
    [((500, 900, 1000, 990), 2), ((100, 200, 400, 800), 8), ((700, 650, 300, 100), 1), ((100, 89, 91, 100), 1)],
    ids=["saturates", "never saturates", "collapses", "flat"],
)
def test_the_knee_is_where_more_connections_bring_no_more(rates, expected):
    steps = [Step(connections=2**place, per_second=rate, p50_ms=1, p99_ms=2) for place, rate in enumerate(rates)]
    assert knee(steps) == expected
