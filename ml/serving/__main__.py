"""`python -m ml.serving`: run the service where EVERGREEN_SERVING_URL says, until SIGTERM."""

import os
import secrets
import socket
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Annotated, cast
from urllib.parse import urlsplit

import typer

from ml.errors import ConfigError, TransientError
from ml.serving import telemetry
from ml.settings import Settings, read

# pyarrow and TensorFlow take these in where they are installed, for what the service never does: a fifth of its memory
NEEDLESS = ("pandas", "sklearn", "matplotlib")
GRACE_S = 45.0  # requests under way, then the request log


class Without:
    """An importer for which the needless are not installed."""

    def find_spec(self, name: str, _path: object = None, _target: object = None) -> None:
        """None leaves the search to the others."""
        if name in NEEDLESS:
            raise ModuleNotFoundError(f"The service does without {name}.", name=name)


def address(url: str) -> tuple[str, int]:
    """Host and port of the service.

    Raises: ConfigError: no http address.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or 80
    except ValueError as error:
        raise ConfigError(f"EVERGREEN_SERVING_URL = {url!r}: {error}. Write http://127.0.0.1:8000.") from error
    if parts.scheme != "http" or not host:
        raise ConfigError(f"EVERGREEN_SERVING_URL = {url!r} is no http address. Write http://127.0.0.1:8000.")
    return host, port


def main(
    host: Annotated[str | None, typer.Option(help="address to bind, if not the one of EVERGREEN_SERVING_URL")] = None,
    port: Annotated[int | None, typer.Option(help="port to bind, if not the one of EVERGREEN_SERVING_URL")] = None,
) -> None:
    """Serve the champions of all problems. Predictions need a key, except on the loopback while none was ever made."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        settings = read()
        named_host, named_port = address(settings.serving_url)
        host, port = host or named_host, port or named_port
        settings = replace(settings, serving_url=f"http://{f'[{host}]' if ':' in host else host}:{port}")
        telemetry.log_lines(cast(telemetry.Lines, settings.serving_log))
        status = serve(settings, host, port)
    except (ConfigError, TransientError) as error:
        sys.exit(str(error))
    sys.exit(status)


def serve(settings: Settings, host: str, port: int) -> int:
    """Run workers until SIGTERM; returns the exit status.

    Raises: ConfigError: the address cannot be bound, or is open to others without a key.
        TransientError: workers had to be killed at the end.
    """
    sys.meta_path.insert(0, Without())
    with _bound(host, port) as listener, tempfile.TemporaryDirectory(prefix="evergreen-") as sockets:
        telemetry.share_figures(settings.serving_state / "metrics" / str(port))  # before what follows imports those who count
        from ml.serving.access import check
        from ml.serving.protocols import tfgrpc
        from ml.serving.shared import folder_of
        from ml.serving.supervisor import Supervisor
        from ml.serving.worker import Work

        check(settings)
        if settings.serving_grpc:
            tfgrpc.check(settings.serving_grpc, host)
        folder = folder_of(settings, f"{host}:{port}")
        work = Work(settings, listener, folder, Path(sockets), secrets.token_hex(8))
        return Supervisor(work.run, settings.serving_workers, GRACE_S).run()


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        told = f"{host}:{port} cannot be bound: {error}. Is another service there? EVERGREEN_SERVING_URL says where to be."
        raise ConfigError(told) from error
    return listener


if __name__ == "__main__":
    typer.run(main)
