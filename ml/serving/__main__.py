"""`python -m ml.serving`: run the service where EVERGREEN_SERVING_URL says, until SIGTERM."""

import os
import signal
import sys
from typing import Annotated
from urllib.parse import urlsplit

import typer
import uvicorn

from ml.errors import ConfigError
from ml.settings import read

GRACE_S = 30


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
    """Serve the champions of all problems. Predictions are open: bind an address that only those who may ask can reach."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        settings = read()
        named_host, named_port = address(settings.serving_url)
        from ml.serving.app import create_app

        app = create_app(settings)
    except ConfigError as error:
        sys.exit(str(error))
    # uvicorn sends itself the signal again when all is done; an orderly end is status 0
    signal.signal(signal.SIGTERM, lambda *_: None)
    uvicorn.run(
        app, host=host or named_host, port=port or named_port, access_log=False, timeout_graceful_shutdown=GRACE_S, lifespan="on"
    )


if __name__ == "__main__":
    typer.run(main)
