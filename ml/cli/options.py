"""Options that several commands share, and how results are printed."""

import getpass
import json
import math
import re
from dataclasses import fields, is_dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import BaseModel

from ml.errors import ConfigError

ProblemOption = Annotated[str, typer.Option("--problem", "-p", help="name of a problem, or the path of its TOML file")]
STEERING = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # all but tabs and line ends
JsonOption = Annotated[bool, typer.Option("--json", help="print one JSON value instead of text")]


def by_hand(what: str) -> str:
    """A new run key for something started from a shell."""
    return f"{what}-by-hand-{datetime.now().astimezone():%Y%m%dT%H%M%S}"


def actor() -> str:
    """Who asks, for the ledger."""
    return f"cli:{getpass.getuser()}"


def reason(why: str, what: str) -> str:
    """The reason that somebody gave, for a history that forgets nothing.

    Raises: ConfigError: there is none.
    """
    if not why.strip():
        raise ConfigError(f"{what} Say --why, it stays in the history.")
    return why.strip()


def a_file(out: Path) -> Path:
    """A file that is to be written at the end of a long look; asked before it begins.

    Raises: ConfigError: it could not be written there.
    """
    if not out.parent.is_dir():
        raise ConfigError(
            f"{out.parent} is no folder, so {out.name} cannot be written there. Make it first, or name another file."
        )
    if out.is_dir():
        raise ConfigError(f"{out} is a folder. Name a file.")
    return out


def plain(value: Any) -> Any:
    """A record as JSON takes it: keys are text, pairs that are keys become entries of a list, numbers are finite."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if hasattr(value, "_asdict"):
        return plain(value._asdict())
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: plain(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, dict):
        if any(isinstance(key, tuple) for key in value):
            return [{"old": key[0], "new": key[1], "rows": plain(entry)} for key, entry in value.items()]
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return [plain(entry) for entry in value] if isinstance(value, list | tuple) else value


def show(value: Any, *, as_json: bool, text: str) -> None:
    """Print a result for a program or for a person."""
    typer.echo(json.dumps(value, indent=2, default=str) if as_json else harmless(text))


def harmless(text: str) -> str:
    """A text that cannot steer the terminal it is shown on: values of rows stand in it."""
    return STEERING.sub(lambda found: repr(found[0])[1:-1], text)


def table(rows: list[dict[str, Any]], columns: list[str]) -> str:
    """Rows as aligned text."""
    cells = [columns, *[["" if row.get(c) is None else str(row.get(c)) for c in columns] for row in rows]]
    widths = [max(len(line[index]) for line in cells) for index in range(len(columns))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells)
