"""Passwords and keys of one embedded stack: random, made once, kept in a file only its owner reads."""

import base64
import json
import os
import secrets as random
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from ml.errors import ConfigError


@dataclass(frozen=True)
class Secrets:
    """Everything a part of the stack must know and nobody else."""

    postgres_password: str
    evergreen_password: str
    reader_password: str
    airflow_password: str
    fernet_key: str
    api_secret_key: str
    jwt_secret: str
    serving_token: str

    def __repr__(self) -> str:
        return "Secrets(...)"  # a traceback or a log line must not print them


def read(path: Path) -> Secrets:
    """The secrets in `path`; they are made first when the file is not there.

    Raises: ConfigError: the file is there but lacks a name or holds an unknown one.
    """
    if not path.exists():
        _write(path, _random())
    content = json.loads(path.read_text())
    wanted = {field.name for field in fields(Secrets)}
    if set(content) != wanted:
        raise ConfigError(
            f"{path} should hold {', '.join(sorted(wanted))}; it differs in {', '.join(sorted(set(content) ^ wanted))}. "
            "Databases were made with these passwords: restore the file, or remove its whole folder to start anew."
        )
    return Secrets(**content)


def write_private(path: Path, text: str) -> None:
    """Replace a file that only its owner may read, in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    scratch.replace(path)


def _random() -> Secrets:
    words = {field.name: random.token_urlsafe(24) for field in fields(Secrets)}
    fixed = {
        "airflow_password": random.token_urlsafe(12),  # a person types it
        "fernet_key": base64.urlsafe_b64encode(random.token_bytes(32)).decode(),
        "jwt_secret": random.token_urlsafe(64),  # HS512 wants 64 bytes
    }
    return Secrets(**words | fixed)


def _write(path: Path, made: Secrets) -> None:
    write_private(path, json.dumps(asdict(made), indent=2) + "\n")
