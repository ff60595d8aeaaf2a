"""Where things live: read once at the edge from `EVERGREEN_*`, passed down from there."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from ml.errors import ConfigError

MOST_WORKERS = 256
PROJECT = Path(__file__).resolve().parent.parent
LINES = ("text", "json", "requests")


@dataclass(frozen=True)
class Settings:
    """One field per `EVERGREEN_<FIELD>` variable; `.env.example` explains each. What may hold a password is not shown in logs."""

    store: str
    cache: Path
    source_url: str = field(repr=False)
    database_url: str = field(repr=False)
    mlflow_url: str = field(repr=False)
    serving_url: str
    serving_token: str = field(repr=False)
    serving_workers: int
    serving_state: Path
    serving_log: str
    spool_mb: int
    oidc_issuer: str
    oidc_audience: str
    serving_grpc: str
    problems: Path
    expectations: Path
    clock_file: Path | None
    alerts: Path | None

    @property
    def spool(self) -> Path:
        """Folder of logged rows on their way into this database; rows meant for another one lie in another folder."""
        place = re.sub(r"[^A-Za-z0-9.]+", "-", self.database_url.rpartition("@")[2].rpartition("://")[2].partition("?")[0])
        return self.serving_state / "spool" / place.strip("-")

    @property
    def backtests(self) -> Path:
        """Folder of replays of the past that are under way, or that somebody keeps; they hold rows."""
        return self.cache / "backtests"

    def now(self) -> datetime:
        """The present, or the moment a replay of history stands at (the clock file holds one ISO time with offset).

        Raises: ConfigError: the clock file holds no time with an offset.
        """
        if self.clock_file is None or not self.clock_file.exists():
            return datetime.now(UTC)
        text = self.clock_file.read_text().strip()
        try:
            moment = datetime.fromisoformat(text)
        except ValueError as error:
            raise ConfigError(
                f"{self.clock_file} holds {text!r}, not an ISO time such as "
                "2013-02-01T03:00:00-05:00. Write one, or delete the file to use the real time."
            ) from error
        if moment.tzinfo is None:
            raise ConfigError(f"{self.clock_file} holds {text!r}, a time without offset. Add one, for example +00:00.")
        return moment.astimezone(UTC)


# what is not there, or decided elsewhere, unless it is set
OFF = ("serving_token", "serving_workers", "oidc_issuer", "oidc_audience", "serving_grpc", "clock_file", "alerts")
DEFAULTS = {
    "store": str(PROJECT / "build" / "store"),
    "cache": str(PROJECT / "build" / "cache"),
    "source_url": "postgresql://127.0.0.1:5432/production",
    "database_url": "postgresql://127.0.0.1:5432/evergreen",
    "mlflow_url": "http://127.0.0.1:5000",
    "serving_url": "http://127.0.0.1:8000",
    "serving_state": str(PROJECT / "build" / "serving"),
    "serving_log": "text",
    "spool_mb": "1024",
    "problems": str(PROJECT / "ml" / "problems"),
    "expectations": str(PROJECT / "expectations"),
} | dict.fromkeys(OFF, "")


def read(environment: Mapping[str, str] = os.environ) -> Settings:
    """Settings from the environment; a variable that is no setting of ours is an error, not ignored.

    Raises: ConfigError: an unknown `EVERGREEN_*` name, or a value that is none.
    """
    prefix = "EVERGREEN_"
    given = {name[len(prefix) :].lower(): value for name, value in environment.items() if name.startswith(prefix)}
    unknown = sorted(set(given) - set(DEFAULTS) - {"data"})  # EVERGREEN_DATA tells tests where real extracts lie
    if unknown:
        names = ", ".join(prefix + name.upper() for name in unknown)
        raise ConfigError(f"Unknown setting {names}. Known: {', '.join(prefix + n.upper() for n in DEFAULTS)}.")
    values = DEFAULTS | {name: value for name, value in given.items() if name in DEFAULTS and value}
    return Settings(
        **{n: values[n] for n in ("store", "source_url", "database_url", "serving_token")},
        **{n: _shown(n, values[n]) for n in ("mlflow_url", "serving_url")},
        **{n: values[n] for n in ("oidc_issuer", "oidc_audience")},
        serving_log=_one_of("serving_log", values["serving_log"], LINES),
        serving_grpc=values["serving_grpc"],
        cache=Path(values["cache"]),
        serving_workers=_workers(values["serving_workers"]),
        serving_state=Path(values["serving_state"]),
        spool_mb=_number("spool_mb", values["spool_mb"]),
        problems=Path(values["problems"]),
        expectations=Path(values["expectations"]),
        clock_file=Path(values["clock_file"]) if values["clock_file"] else None,
        alerts=Path(values["alerts"]) if values["alerts"] else None,
    )


def _workers(text: str) -> int:
    """As many as this process has cores, unless told otherwise."""
    if not text:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not text.isdecimal() or not 1 <= int(text) <= MOST_WORKERS:
        raise ConfigError(f"EVERGREEN_SERVING_WORKERS = {text!r}: expected a whole number from 1 to {MOST_WORKERS}.")
    return int(text)


def _shown(name: str, url: str) -> str:
    """An address that becomes a link on pages, in tags and in records, where a password would be read by everybody."""
    if re.match(r"[a-z]+://[^/?#]*@", url):
        where = "MLFLOW_TRACKING_USERNAME and _PASSWORD" if name == "mlflow_url" else "EVERGREEN_SERVING_TOKEN"
        raise ConfigError(f"EVERGREEN_{name.upper()} holds a user or password before the @. Take it out and set {where}.")
    return url


def _one_of(name: str, text: str, allowed: tuple[str, ...]) -> str:
    if text not in allowed:
        raise ConfigError(f"EVERGREEN_{name.upper()} = {text!r} is none of {', '.join(allowed)}.")
    return text


def _number(name: str, text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise ConfigError(f"EVERGREEN_{name.upper()} = {text!r} is no whole number above 0. Write {DEFAULTS[name]}, for example.")
    return int(text)
