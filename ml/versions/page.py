"""The diff as a page: what changed in words first, then a picture per column that moved."""

from typing import TYPE_CHECKING

from markupsafe import Markup

from ml import pages
from ml.versions import words
from ml.versions.compare import Diff
from ml.versions.moved import Moved
from ml.versions.rows import ColumnChange
from ml.versions.shapes import Histogram, Shares

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PICTURES = 12  # the columns that moved furthest
BARS = 12  # cells in a picture
BEFORE, AFTER = "#8a97a3", "#1f77b4"


def page(diff: Diff, title: str) -> str:
    """The whole HTML page, self-contained."""
    moved = [one for one in diff.moved if one.moved]
    return pages.render(
        "diff",
        title=title,
        diff=diff,
        summary=words.summary(diff),
        columns=list(words.columns(diff)),
        changes=[(name, one, words.change(one)) for name, one in _by_rows(diff)],
        value=words.value,
        moved=moved,
        pictures=[(one, picture(one)) for one in moved[:PICTURES]],
    )


def picture(moved: Moved) -> Markup:
    """Shares before and after: a histogram of numbers, else bars side by side."""
    from matplotlib.figure import Figure

    cells = _cells(moved)
    height = 2.6 if moved.histogram else 0.9 + 0.34 * len(cells)
    drawn = Figure((7.0, height), layout="constrained")  # no pyplot: no global state, no display
    axes = drawn.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    if moved.histogram:
        _steps(axes, moved.histogram, "characters" if moved.kind == "text" else moved.column)
    else:
        _bars(axes, cells)
    axes.legend(frameon=False)
    return pages.figure(drawn, says=f"{moved.column}, share of rows per value: {moved.sentence}")


def _steps(axes: "Axes", found: Histogram, label: str) -> None:
    axes.stairs([100 * share for share in found.before], found.edges, fill=True, color=BEFORE, alpha=0.5, label="before")
    axes.stairs([100 * share for share in found.after], found.edges, color=AFTER, linewidth=2, label="after")
    axes.set(xlabel=label, ylabel="share of rows, %")
    axes.grid(axis="y", alpha=0.3)


def _bars(axes: "Axes", cells: Shares) -> None:
    places = range(len(cells))
    for number, (label, color) in enumerate((("before", BEFORE), ("after", AFTER))):
        widths = [100 * shares[number] for shares in cells.values()]
        axes.barh([place + (number - 0.5) * 0.38 for place in places], widths, 0.38, label=label, color=color)
    axes.set_yticks(places, [name if len(name) <= 28 else name[:27] + "…" for name in cells])
    axes.invert_yaxis()
    axes.set_xlabel("share of rows, %")
    axes.grid(axis="x", alpha=0.3)


def _cells(moved: Moved) -> Shares:
    """Values with rows: hours in their order, of categories those that changed most, and the others together."""
    filled = {name: shares for name, shares in moved.shares.items() if max(shares) > 0}
    if moved.kind == "datetime":
        return dict(sorted(filled.items()))
    if moved.kind != "category" or len(filled) <= BARS:
        return filled
    shown = sorted(filled, key=lambda name: -abs(filled[name][1] - filled[name][0]))[: BARS - 1]
    rest = [shares for name, shares in filled.items() if name not in shown]
    top = {name: filled[name] for name in sorted(shown, key=lambda name: -max(filled[name]))}
    return top | {f"{len(rest)} others": (sum(old for old, _ in rest), sum(new for _, new in rest))}


def _by_rows(diff: Diff) -> list[tuple[str, ColumnChange]]:
    return sorted(diff.rows.columns.items(), key=lambda item: -item[1].num_rows)
