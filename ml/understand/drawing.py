"""What charts of columns share: their bins, their units, and bars that would dwarf the others."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ml.understand.columns import REST, Column, Floats

BINS = 30
WIDEST = 1e150  # larger numbers count in the outermost bar: no axis can be cut into steps of 1e308


def cut_rest(axes: Any, names: Sequence[str], shares: Floats) -> None:
    """Where all other values together dwarf the named ones, their bars end at the edge and say how long they are."""
    rest = [place for place, name in enumerate(names) if name == REST]
    named = np.delete(shares, rest).max(initial=0)
    if rest and named and shares[rest[0]] > 1.5 * named:
        axes.set_xlim(0, 1.25 * named)
        told = f"{shares[rest[0]]:.0%} ⟶"
        axes.text(1.23 * named, rest[0], told, ha="right", va="center", color="white", fontweight="bold", fontsize=8)


def edges_of(values: Floats) -> Floats:
    """Bins that show the bulk; what lies beyond it is counted in the outermost ones."""
    held = values[np.isfinite(values)]
    if len(held) == 0:
        return np.array([0.0, 1.0])
    low, high = np.clip(np.quantile(held, [0.005, 0.995], method="inverted_cdf"), -WIDEST, WIDEST)
    whole = bool((held == np.round(held)).all()) and high - low < 4 * BINS
    if whole:
        step = max(1, int(np.ceil((high - low + 1) / BINS)))
        return np.arange(np.floor(low), np.floor(high) + step + 1, step) - 0.5
    return np.linspace(low, high, BINS + 1) if high > low else np.array([low - 0.5, low + 0.5])


def unit_of(column: Column) -> str:
    """What a column's numbers count."""
    return {"text": "words", "datetime": "hour of the day"}.get(column.kind, column.unit)


def short_numbers() -> Any:
    """Numbers such as 2.5k on an axis."""
    from matplotlib.ticker import FuncFormatter

    return FuncFormatter(lambda value, _: thousands(value))


def thousands(value: float) -> str:
    """`12.5k` of 12,500."""
    for size, letter in ((1_000_000, "M"), (1_000, "k")):
        if value >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.0f}"
