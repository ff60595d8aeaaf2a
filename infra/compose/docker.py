"""Calls of `docker` and `docker compose`."""

import os
import shlex
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any

PROJECT = Path(__file__).resolve().parents[2]
IMAGES = {
    "airflow": "evergreen-airflow",
    "serving": "evergreen-serving",
    "seaweedfs": "evergreen-seaweedfs",
    "proxy": "evergreen-proxy",
}
ONE_SHOT = ("init", "mlflow-init")


def compose(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """`docker compose ...` in the project's folder; `$COMPOSE` names another program for it, such as docker-compose.

    Raises: SystemExit: it failed; what it said is on the terminal already.
    """
    return _run([*shlex.split(os.environ.get("COMPOSE", "docker compose")), *arguments], **options)


def build(images: Iterable[str] = IMAGES) -> None:
    """Make our images; by `docker build`, which needs nothing beside the engine."""
    for name in images:
        print(f"building {IMAGES[name]}")  # noqa: T201
        _run(["docker", "build", "--quiet", "--file", f"infra/docker/{name}.Dockerfile", "--tag", IMAGES[name], "."])


def services() -> list[str]:
    """Those that stay up."""
    named = compose("config", "--services", capture_output=True).stdout.split()
    left_out = os.environ.get("STACK_WITHOUT", "").split()  # where an image cannot be had
    return sorted(set(named) - set(ONE_SHOT) - set(left_out))


def volumes() -> list[str]:
    """The stack's volumes that exist."""
    name = os.environ.get("COMPOSE_PROJECT_NAME", "evergreen")
    told = _run(
        ["docker", "volume", "ls", "--quiet", "--filter", f"label=com.docker.compose.project={name}"], capture_output=True
    )
    return sorted(told.stdout.split())


def into(path: Path, *arguments: str) -> None:
    """Write what a `docker compose` command prints into a file that only its owner reads."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        compose(*arguments, stdout=file)


def out_of(path: Path, *arguments: str) -> None:
    """Give a file to a `docker compose` command to read."""
    with path.open("rb") as file:
        compose(*arguments, stdin=file)


def _run(command: list[str], *, capture_output: bool = False, **files: IO[bytes]) -> subprocess.CompletedProcess[str]:
    out = subprocess.PIPE if capture_output else files.get("stdout")
    try:
        done = subprocess.run(command, cwd=PROJECT, text=True, stdout=out, stdin=files.get("stdin"))
    except FileNotFoundError:
        sys.exit(
            f"{command[0]} is not installed. The full stack needs Docker with its compose plugin; `make demo` needs neither."
        )
    if done.returncode:
        sys.exit(f"`{shlex.join(command)}` failed with {done.returncode}; what it said stands above.")
    return done
