"""Figures that processes share, and traces that begin where the caller's ended."""

import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

CALLER = "0af7651916cd43dd8448eb211c80319c"
COUNTING = """
import asyncio, sys
from datetime import UTC, datetime
from pathlib import Path
from ml.serving import telemetry
if sys.argv[1] == "first":
    telemetry.share_figures(Path(sys.argv[2]))
else:
    import os
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = sys.argv[2]
from ml.requests import Request
from ml.serving import metrics
metrics.answered(Request("r", "flights", 3, datetime.now(UTC), [None], [{}], [{}], "shadow"), 0.002)
counts = {"written": 7, "waiting": 0, "dropped": 2, "error": ""}
print(metrics.exposition(metrics.Held({}, lambda: counts, None)).decode())
"""
TRACED = """
import asyncio, sys
from ml.serving.edge import Edge

class Everybody:
    open = True

    def admit(self, *_):
        pass

async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 204, "headers": []})

async def ask():
    async def send(message):
        print(message["status"])
    headers = [(b"traceparent", b"00-%s-b7ad6b7169203331-01" % sys.argv[1].encode())]
    await Edge(app, Everybody())({"type": "http", "method": "GET", "path": "/p", "headers": headers}, None, send)

asyncio.run(ask())
"""


def run(program: str, *arguments: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], env=environment, capture_output=True, text=True, timeout=120, check=True
    )
    return done.stdout


def test_processes_count_together_and_a_new_start_begins_at_zero(tmp_path):
    folder = str(tmp_path / "figures")
    told = [run(COUNTING, which, folder) for which in ("first", "second", "first")]
    line = 'evergreen_answered_rows_total{arm="shadow",problem="flights",version="3"}'
    assert [f"{line} {count}.0" in text for text, count in zip(told, (1, 2, 1), strict=True)] == [True] * 3
    assert 'evergreen_log_rows_total{state="dropped"} 2.0' in told[0]
    assert 'evergreen_answer_seconds_bucket{arm="shadow",le="0.0025",problem="flights",version="3"} 2.0' in told[1]


def test_a_span_carries_on_the_callers_trace():
    got: list[bytes] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self):
            got.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Collector)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        said = run(TRACED, CALLER, OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{server.server_port}", NO_PROXY="127.0.0.1")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert said.strip() == "204"
    assert bytes.fromhex(CALLER) in got[0]
    assert b"GET /p" in got[0]
