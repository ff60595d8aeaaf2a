"""Filling in a page: Jinja escapes every value, figures go in as SVG, and nothing is loaded from elsewhere."""

import io
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
from markupsafe import Markup

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TEMPLATES = Path(__file__).resolve().parent


def render(template: str, **values: Any) -> str:
    """A whole page from `ml/pages/<template>.html`, which extends `base.html`.

    Raises: jinja2.UndefinedError: the template uses a value that was not given.
    """
    loader = jinja2.FileSystemLoader(TEMPLATES)
    environment = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    environment.filters["number"] = number
    environment.filters["share"] = share
    return environment.get_template(f"{template}.html").render(**values)


def figure(drawn: "Figure", *, says: str) -> Markup:
    """A matplotlib figure as SVG inside the page; `says` is what it shows in words, for those who cannot see it."""
    out = io.StringIO()
    drawn.savefig(out, format="svg", bbox_inches="tight", transparent=True, metadata={"Date": None})
    svg = re.sub(r"^.*?(?=<svg)", "", out.getvalue(), flags=re.DOTALL)
    return Markup('<figure role="img" aria-label="{}">').format(says) + Markup(svg) + Markup("</figure>")  # noqa: S704 - ours  # nosec B704


def number(value: float | None, digits: int = 4) -> str:
    """A number as a person writes it: thousands apart, few digits; a dash for none."""
    if value is None:
        return "–"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.{digits}g}"


def share(value: float | None) -> str:
    """A share in per cent; a dash for none."""
    return "–" if value is None else f"{value:.1%}"
