"""The file with the routes' addresses: a secret, because their tokens stand in it. Read where something is sent, never logged."""

import tomllib
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from ml.errors import ConfigError

EXAMPLE = 'routes.default = "mailtos://user:password@example.com?to=team@example.com"'


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    routes: dict[str, SecretStr] = Field(min_length=1)
    runbook: str = "docs/runbook.md"
    airflow: str | None = None


@dataclass(frozen=True)
class Routes:
    """Where messages can go, and where links in them lead. Addresses stay out of `repr`, logs and errors."""

    addresses: dict[str, SecretStr] = field(repr=False)
    runbook: str
    airflow: str | None  # its address as people see it


def read(path: Path | None) -> Routes | None:
    """The routes; None when no file is named, so that nothing is sent.

    Raises: ConfigError: the file is not there or not right; what it holds is not repeated.
    """
    if path is None:
        return None
    try:
        found = _File.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise ConfigError(f"EVERGREEN_ALERTS names {path}, which cannot be read: {error.strerror}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        raise ConfigError(f"{path} (EVERGREEN_ALERTS) is not valid TOML. Write for example: {EXAMPLE}") from None
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors(include_input=False))
        raise ConfigError(f"{path} (EVERGREEN_ALERTS): {wrong}. Write for example: {EXAMPLE}") from None
    return Routes(found.routes, found.runbook, found.airflow)
