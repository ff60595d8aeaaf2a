"""Options that several commands share, and how results are printed."""

import json
from datetime import datetime
from typing import Annotated, Any

import typer

ProblemOption = Annotated[str, typer.Option("--problem", "-p", help="name of a problem, or the path of its TOML file")]
JsonOption = Annotated[bool, typer.Option("--json", help="print one JSON value instead of text")]


def by_hand(what: str) -> str:
    """A new run key for something started from a shell."""
    return f"{what}-by-hand-{datetime.now().astimezone():%Y%m%dT%H%M%S}"


def show(value: Any, *, as_json: bool, text: str) -> None:
    """Print a result for a program or for a person."""
    typer.echo(json.dumps(value, indent=2, default=str) if as_json else text)


def table(rows: list[dict[str, Any]], columns: list[str]) -> str:
    """Rows as aligned text."""
    cells = [columns, *[["" if row.get(c) is None else str(row.get(c)) for c in columns] for row in rows]]
    widths = [max(len(line[index]) for line in cells) for index in range(len(columns))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells)
