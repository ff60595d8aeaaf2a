"""The plain Markdown that MLflow's version page and Airflow's required actions both show."""

import re
from collections.abc import Iterable

from ml.records import Interval

GAP = "\N{EN SPACE}\N{ZERO WIDTH SPACE}"  # MLflow sets columns without space between them, and trims plain space
SPACE = "\n\n\N{ZERO WIDTH SPACE}"  # below a table; MLflow puts the next heading right under its last line
# What makes a link, a picture, HTML or code of a value that stood in a row. Some readers of Markdown make a link of a bare
# address whatever stands before it, and not all know a backslash before <.
ACTIVE = re.compile(r"[\\`<>\[\]|]|(?<=https):(?=//)|(?<=http):(?=//)|(?<=www)\.", re.IGNORECASE)
HARMLESS = {"<": "&lt;", ">": "&gt;", ":": ":\N{ZERO WIDTH SPACE}", ".": "\N{ZERO WIDTH SPACE}."}
WIDE = 10  # from here on a value needs no four decimals


def plain(text: str) -> str:
    """A text that is shown as it is: whoever feeds the source must not write on the page of a reviewer."""
    return ACTIVE.sub(lambda found: HARMLESS.get(found[0], "\\" + found[0]), " ".join(text.split()))


def table(title: str, header: tuple[str, ...], lines: Iterable[tuple[str, ...]]) -> str:
    """A heading and a table under it; cells may be bold, and are plain otherwise."""
    rows = [_line(header), "| " + " | ".join((":--",) * len(header)) + " |", *map(_line, lines)]
    return f"## {title}\n\n" + "\n".join(rows) + SPACE


def bullets(title: str, lines: Iterable[str]) -> str:
    """A heading and a list under it, without the lines that are empty."""
    return f"## {title}\n\n" + "\n".join(f"- {line}" for line in lines if line)


def interval(found: Interval | None) -> str:
    """A value with its interval."""
    return f"{number(found.value)} ({number(found.low)} to {number(found.high)})" if found else "none"


def number(value: float) -> str:
    """A value as precise as it needs to be."""
    return f"{value:,.1f}" if abs(value) >= WIDE else f"{value:.4f}"


def _line(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(plain(cell) + GAP for cell in cells) + " |"
