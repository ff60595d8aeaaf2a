"""A problem with a state of its own, and real sinks: an SMTP server and an HTTP server on this machine."""

import itertools
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from ml import database, problem, settings
from ml.context import Context
from ml.problem import Alerts

NOON = "2013-02-01T12:00:00-05:00"


@dataclass
class Hook:
    """An HTTP server that keeps what it was sent; `status` is what it answers."""

    port: int
    status: int = 200
    got: list[dict[str, Any]] = field(default_factory=list)


@pytest.fixture
def hook() -> Iterator[Hook]:
    """A running HTTP sink."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if kept.status < 300:
                kept.got.append({"path": self.path, "headers": dict(self.headers), "body": json.loads(body)})
            self.send_response(kept.status)
            self.end_headers()
            self.wfile.write(b"ok")  # which Slack's server says, too

        def log_message(self, *about: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    kept = Hook(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield kept
    server.shutdown()
    server.server_close()
    thread.join()


@dataclass
class Care:
    """A context, and a clock that a test sets."""

    context: Context
    folder: Path

    def at(self, moment: str) -> "Care":
        """Set the clock."""
        (self.folder / "clock").write_text(datetime.fromisoformat(moment).isoformat())
        return self

    def routes(self, **addresses: str) -> "Care":
        """Write the file of routes."""
        lines = "".join(f"{name} = {json.dumps(address)}\n" for name, address in addresses.items())
        (self.folder / "routes.toml").write_text(f"[routes]\n{lines}")
        return self

    def policy(self, **given: Any) -> "Care":
        """The same with another section [alerts]."""
        about = self.context.problem.model_copy(update={"alerts": Alerts.model_validate(given)})
        return Care(replace(self.context, problem=about), self.folder)


@pytest.fixture(scope="session")
def empty_state(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bytes of a fresh state: migrating costs more than copying."""
    file = tmp_path_factory.mktemp("state") / "state.db"
    database.migrate(f"sqlite:///{file}")
    return file.read_bytes()


@pytest.fixture
def make_care(tmp_path: Path, empty_state: bytes) -> Callable[[], Care]:
    """Call it for a problem in whose ledger nothing stands, at noon."""
    numbers = itertools.count()

    def make() -> Care:
        folder = tmp_path / f"care{next(numbers)}"
        folder.mkdir()
        (folder / "state.db").write_bytes(empty_state)
        where = settings.read(
            {
                "EVERGREEN_STORE": str(folder / "store"),
                "EVERGREEN_DATABASE_URL": f"sqlite:///{folder}/state.db",
                "EVERGREEN_CLOCK_FILE": str(folder / "clock"),
                "EVERGREEN_ALERTS": str(folder / "routes.toml"),
            }
        )
        return Care(Context(problem.load("flights", where.problems), where, "alerts"), folder).at(NOON)

    return make


@pytest.fixture
def care(make_care: Callable[[], Care]) -> Care:
    """A problem in whose ledger nothing stands, at noon."""
    return make_care()
