"""The charts, as SVG: small in bytes, each with what it shows in words."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from ml.pages.drawing import BEFORE, INK, NEWEST, RATE, axes_for, clipped, dates, height_of, named, pairs, percent
from ml.understand.columns import Column, Floats, numbers
from ml.understand.drawing import cut_rest, edges_of, short_numbers, thousands, unit_of
from ml.understand.label_findings import Words
from ml.understand.places import LAYOUT, TILES, Points, States
from ml.understand.rates import Periods, Rate

THIN = 0.05  # a period with fewer labels than this share of the usual is not drawn
SURE, STEADY = 30, 50  # fewest labels of a state with a colour; rows of the overall rate that each starts with


def distribution(column: Column, newest: np.ndarray, says: str) -> Markup:
    """Numbers and texts: what is usual (grey) and what the newest days hold (line), each as shares of its own values."""
    from matplotlib.ticker import MaxNLocator

    values = numbers(column)
    with axes_for(says, xlabel=unit_of(column), ylabel="share") as (axes, done):
        edges = edges_of(values)
        for rows, style in ((~newest, {"fill": True, "color": BEFORE}), (newest, {"color": NEWEST, "linewidth": 1.6})):
            held = values[rows & np.isfinite(values)]
            if len(held):
                counts = np.histogram(np.clip(held, edges[0], edges[-1]), edges)[0]
                axes.stairs(counts / len(held), edges, **style)
        percent(axes.yaxis)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=7, integer=bool(edges[0] % 1 == 0.5)))
        axes.set_ylim(bottom=0)
    return done[0]


def values(names: Sequence[str], before: Floats, newest: Floats, says: str) -> Markup:
    """Shares of values side by side: usual, newest; shapes (k,). NaN where a side has no rows."""
    with axes_for(says, height=height_of(len(names)), xlabel="share") as (axes, done):
        pairs(axes, names, before, newest)
        cut_rest(axes, names, np.nan_to_num(np.fmax(before, newest)))
    return done[0]


def rates(names: Sequence[str], found: Sequence[Rate], overall: float | None, says: str, *, positive: str) -> Markup:
    """Rate per value with its interval; the dashed line is the rate of all rows."""
    with axes_for(says, height=height_of(len(names)), xlabel=f"share {positive}") as (axes, done):
        places = [place for place, rate in enumerate(found) if rate.rows]
        low, high = ([found[place].interval[side] for place in places] for side in (0, 1))
        axes.hlines(places, low, high, color=RATE, linewidth=1.4)
        axes.plot([found[place].value for place in places], places, "o", color=RATE, markersize=4)
        if overall is not None:
            axes.axvline(overall, color="#888888", linestyle="--", linewidth=0.9)
        named(axes, names)
        percent(axes.xaxis)
        axes.set_xlim(left=0)
    return done[0]


def over_time(found: Periods, waiting: tuple[float, float] | None, says: str, words: Words) -> Markup:
    """Rate of each period with its interval, and below the rows of each period.

    Args:
        waiting: span of days since 1970 whose labels are not complete, shaded.
    """
    when = found.days.astype("datetime64[D]").astype("datetime64[ms]").astype(object)
    with axes_for(says, height=2.9, rows=2) as ((top, bottom), done):
        enough = max(1, THIN * float(np.median([rate.rows for rate in found.rates])))
        sure = [rate.rows >= enough for rate in found.rates]  # the first days of a month say little about it
        value = np.array([rate.value if ok else np.nan for rate, ok in zip(found.rates, sure, strict=True)], np.float64)
        low, high = (
            np.array([r.interval[side] if ok else np.nan for r, ok in zip(found.rates, sure, strict=True)]) for side in (0, 1)
        )
        top.fill_between(when, low, high, color=RATE, alpha=0.25, linewidth=0)
        top.plot(when, value, color=RATE, linewidth=1.4, marker="o" if len(when) < 40 else None, markersize=3)
        step = np.median(np.diff(found.days)) if len(when) > 1 else 1
        bottom.bar(when, found.rows, width=np.timedelta64(int(step * 0.9 * 24), "h").astype(object), align="edge", color=BEFORE)
        if waiting:
            ends = [np.datetime64(int(day), "D").astype("datetime64[ms]").astype(object) for day in waiting]
            for axes in (top, bottom):
                axes.axvspan(*ends, color="#e0a030", alpha=0.25, linewidth=0)
        top.set_ylim(bottom=0)
        top.set_ylabel(f"share {words.positive}")
        bottom.set_ylabel(words.rows)
        percent(top.yaxis)
        bottom.yaxis.set_major_formatter(short_numbers())
        dates(bottom)
    return done[0]


def label_ages(expected: Floats, now: Floats, says: str) -> Markup:
    """Share of rows with a label by the age of the row: usual (grey line), and as it is now (points)."""
    with axes_for(says, xlabel="age of the row, days", ylabel="rows with a label") as (axes, done):
        ages = np.arange(len(expected))
        axes.plot(ages, expected, color="#888888", linewidth=1.6, drawstyle="steps-post")
        axes.plot(ages, now, "o", color=NEWEST, markersize=3.2)
        axes.set_ylim(-0.03, 1.05)
        percent(axes.yaxis)
    return done[0]


def missing(names: Sequence[str], before: Floats, newest: Floats, says: str) -> Markup:
    """Share of rows without a value per column: usual, newest."""
    with axes_for(says, height=height_of(len(names)), xlabel="share of rows without a value") as (axes, done):
        pairs(axes, names, before, newest)
        axes.set_xlim(0, max(0.02, float(np.nanmax([before, newest])) * 1.05))
    return done[0]


def heat(names: Sequence[str], found: Floats, says: str) -> Markup:
    """How strongly columns go together, -1 to 1."""
    side = min(9.5, max(3.2, 0.36 * len(names) + 1.6))
    with axes_for(says, width=side, height=side * 0.86) as (axes, done):
        others = np.where(np.eye(len(names)) > 0, np.nan, found)
        axes.pcolormesh(np.ma.masked_invalid(others), cmap="RdBu_r", vmin=-1, vmax=1, edgecolors="white", linewidth=0.5)
        places = np.arange(len(names)) + 0.5
        short = [clipped(name) for name in names]
        axes.set_xticks(places, short, rotation=90)
        axes.set_yticks(places, short)
        axes.invert_yaxis()
        axes.tick_params(length=0)
        for row, column in zip(*np.where(np.abs(np.nan_to_num(found)) >= 0.3), strict=True):
            if row != column:
                dark = abs(found[row, column]) > 0.6
                number = f"{found[row, column]:.1f}".replace("0.", ".")
                axes.text(column + 0.5, row + 0.5, number, ha="center", va="center", fontsize=7, color="white" if dark else INK)
        for spine in axes.spines.values():
            spine.set_visible(False)
    return done[0]


def tiles(found: States, overall: float, says: str) -> Markup:
    """The states as tiles: colour is the rate (grey: too few labels), the number below the code the rows.

    A rate from few rows is drawn towards the overall one, or chance would give the smallest states the strongest colours.
    """
    from matplotlib import colormaps

    drawn = {
        code: (rate.positives + STEADY * overall) / (rate.rows + STEADY)
        for code, rate in found.rates.items()
        if rate.rows >= SURE
    }
    span = max([abs(value - overall) for value in drawn.values()] or [0.01])
    with axes_for(says, width=5.5, height=3.8) as (axes, done):
        for code, place in TILES.items():
            colour = (
                colormaps["RdYlBu_r"](0.5 + (drawn[code] - overall) / (2 * span)) if code in drawn else (0.87, 0.87, 0.87, 1.0)
            )
            _tile(axes, place, colour, (code, thousands(found.rows.get(code, 0))))
        axes.set(xlim=(0, 12), ylim=(len(LAYOUT.splitlines()), 0), aspect="equal")
        axes.axis("off")
    return done[0]


def _tile(axes: Any, place: tuple[int, int], colour: tuple[float, float, float, float], texts: tuple[str, str]) -> None:
    from matplotlib.patches import Rectangle

    (row, column), (red, green, blue, _) = place, colour
    axes.add_patch(Rectangle((column, row), 0.94, 0.94, facecolor=colour, edgecolor="white"))
    ink = "white" if 0.3 * red + 0.59 * green + 0.11 * blue < 0.5 else INK
    axes.text(column + 0.47, row + 0.36, texts[0], ha="center", va="center", fontsize=8, fontweight="bold", color=ink)
    axes.text(column + 0.47, row + 0.72, texts[1], ha="center", va="center", fontsize=6.5, color=ink)


def scatter(found: Points, says: str) -> Markup:
    """Places by their coordinates, in hexagons; colour is the share of positives."""
    with axes_for(says, width=6.4, height=4.2, xlabel=found.columns[1], ylabel=found.columns[0]) as (axes, done):
        known = ~np.isnan(found.labels)
        if known.any():
            axes.hexbin(
                found.longitude[known], found.latitude[known], found.labels[known], gridsize=28, cmap="RdYlBu_r", mincnt=1
            )
        else:
            axes.hexbin(found.longitude, found.latitude, gridsize=28, cmap="Blues", mincnt=1)
    return done[0]
