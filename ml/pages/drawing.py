"""What the charts of pages share: their look, their axes, and text of the data drawn as it is."""

import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from ml.pages.render import figure

Floats = npt.NDArray[np.float64]
WIDE, HIGH = 4.7, 2.3  # inches of a chart that shares a row with another
NEWEST, BEFORE, RATE, INK = "#1f6f8b", "#a9b4af", "#c2571a", "#333333"
LONGEST = 26  # characters of a value that a chart has room for
LINE = 0.27  # inches of height a bar takes
STYLE: Any = {
    "svg.fonttype": "none",  # text stays text: small, searchable, in the reader's font
    "svg.hashsalt": "evergreen",
    "font.family": ["DejaVu Sans"],
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#888888",
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "path.simplify": True,
    "text.parse_math": False,  # a value such as $5 is no formula
}


def clipped(name: str) -> str:
    """A value as a chart can hold it: one line, no control characters, not too long."""
    clean = re.sub(r"[\x00-\x1f\x7f-\x9f\ufffe\uffff]+", " ", name).strip() or "(blank)"
    return clean if len(clean) <= LONGEST else clean[: LONGEST - 1] + "…"


@contextmanager
def axes_for(
    says: str, *, width: float = WIDE, height: float = HIGH, rows: int = 1, xlabel: str = "", ylabel: str = ""
) -> Iterator[tuple[Any, list[Markup]]]:
    """Axes to draw on; when the block ends the second value holds the SVG."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    done: list[Markup] = []
    with mpl.rc_context(STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # a letter that the font lacks: the reader's own has it
        drawn = Figure((width, height), layout="constrained")
        axes = drawn.subplots(rows, 1, sharex=rows > 1, height_ratios=[3, 1] if rows == 2 else None)
        if rows == 1:
            axes.set(xlabel=xlabel, ylabel=ylabel)
        yield axes, done
        done.append(figure(drawn, says=says))


def named(axes: Any, names: Sequence[str]) -> None:
    """The values along the upright axis, the first on top."""
    axes.set_yticks(np.arange(len(names)), [clipped(name) for name in names])
    axes.set_ylim(len(names) - 0.5, -0.5)  # the same room for each, so that charts side by side line up
    axes.tick_params(axis="y", length=0)


def pairs(axes: Any, names: Sequence[str], before: Floats, newest: Floats) -> None:
    """Two bars for each value: usual, newest; shapes (k,)."""
    places = np.arange(len(names))
    axes.barh(places + 0.2, np.nan_to_num(before), 0.36, color=BEFORE)
    axes.barh(places - 0.2, np.nan_to_num(newest), 0.36, color=NEWEST)
    named(axes, names)
    percent(axes.xaxis)


def height_of(bars: int) -> float:
    """Inches that so many bars take."""
    return max(1.1, LINE * bars + 0.6)


def percent(axis: Any) -> None:
    """Few ticks, in per cent."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 2.5, 5, 10]))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value * 100:.4g}%"))


def dates(axes: Any) -> None:
    """Few dates on the axis below."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    locator = AutoDateLocator(minticks=3, maxticks=7)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
