"""Small charts drawn as SVG by hand: they take the page's colours, light or dark, weigh a few hundred bytes, and say in words
what they show.
"""

from collections.abc import Sequence

from markupsafe import Markup

PAD = 3.0  # room around, so that a thick line or a dot is not cut off


def line(values: Sequence[float | None], *, says: str, limit: float | None = None, size: tuple[int, int] = (140, 32)) -> Markup:
    """A line over time, broken where nothing is known, with a dot at the newest value and a dashed limit.

    Args:
        values: oldest first.
        says: what it shows in words, for those who cannot see it.
        limit: drawn across, dashed.
    """
    known = [value for value in values if value is not None]
    if not known:
        return Markup("")
    bounds = [*known, *([limit] if limit is not None else [])]
    low, high = min(bounds), max(bounds)
    width, height = size

    def across(place: int) -> float:
        return PAD + (width - 2 * PAD) * (place / max(len(values) - 1, 1))

    def up(value: float) -> float:
        return height - PAD - (height - 2 * PAD) * ((value - low) / (high - low) if high > low else 0.5)

    pen, path = False, []
    for place, value in enumerate(values):
        if value is not None:
            path.append(f"{'L' if pen else 'M'}{across(place):.1f} {up(value):.1f}")
        pen = value is not None
    last = max(place for place, value in enumerate(values) if value is not None)
    dashed = f'<line class="limit" x1="{PAD}" x2="{width - PAD}" y1="{up(limit):.1f}" y2="{up(limit):.1f}"/>' if limit else ""
    dot = f'<circle cx="{across(last):.1f}" cy="{up(known[-1]):.1f}" r="2.5"/>'
    return _svg(size, says, f'{dashed}<path d="{" ".join(path)}"/>{dot}')


def bars(values: Sequence[float | None], *, says: str, size: tuple[int, int] = (140, 32)) -> Markup:
    """Bars from zero, the oldest first; none where nothing is known."""
    width, height = size
    highest, room = max((value or 0 for value in values), default=0), width / max(len(values), 1)
    if not highest:
        return Markup("")
    drawn = [
        f'<rect x="{place * room + room * 0.15:.1f}" width="{room * 0.7:.1f}" y="{height - height * value / highest:.1f}" '
        f'height="{max(height * value / highest, 1):.1f}"/>'
        for place, value in enumerate(values)
        if value
    ]
    return _svg(size, says, "".join(drawn))


def _svg(size: tuple[int, int], says: str, drawn: str) -> Markup:
    width, height = size
    box = Markup('<svg class="spark" role="img" aria-label="{}" viewBox="0 0 {} {}" width="{}" height="{}">').format(
        says, width, height, width, height
    )
    return box + Markup(drawn) + Markup("</svg>")  # noqa: S704 - numbers of ours
