"""One worker: an event loop that accepts from the common socket, with models, log and threads of its own."""

import os
import signal
import socket
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from ml.serving.app import create_app
from ml.serving.edge import Edge
from ml.serving.front import Front
from ml.serving.service import Service
from ml.serving.shared import Shared
from ml.serving.siblings import Siblings
from ml.settings import Settings

GRACE_S = 20  # for requests under way at the end; the request log has its own time after that


@dataclass(frozen=True)
class Work:
    """What all workers of one start have in common.

    Args:
        listener: bound, not yet listening: until the first worker is ready nobody is let in.
        folder: what they share; `sockets` is a short path where they hear each other.
    """

    settings: Settings
    listener: socket.socket
    folder: Path
    sockets: Path
    generation: str

    def run(self, slot: int, lifeline: int) -> int:
        """Serve until SIGTERM, or until the parent is gone; returns the exit status."""
        threading.Thread(target=_end_with_parent, args=(lifeline,), daemon=True).start()
        shared = Shared(self.folder, slot=slot, generation=self.generation)
        service = Service(self.settings, shared, Siblings(self.sockets, slot))
        front = Front(create_app(self.settings, service), service)
        edge = Edge(front, service.access, told=self.settings.serving_log == "requests")
        config = uvicorn.Config(edge, access_log=False, log_config=None, timeout_graceful_shutdown=GRACE_S, lifespan="on")
        server = uvicorn.Server(config)
        service.pressure.requests = lambda: len(server.server_state.tasks)
        for one in (signal.SIGTERM, signal.SIGINT):  # uvicorn sends itself the signal again when all is done; that is no error
            signal.signal(one, lambda *_: None)
        server.run([self.listener])
        return 0 if server.started else 1


def _end_with_parent(lifeline: int) -> None:
    """The other end of the pipe is held by the parent alone, and nothing is ever written to it."""
    os.read(lifeline, 1)
    sys.stderr.write("the parent of this worker is gone: ending too\n")
    os.kill(os.getpid(), signal.SIGTERM)
