"""HTML for people: one self-contained file a page, readable offline, on a phone, in light and dark."""

from ml.pages.render import figure, render

__all__ = ["figure", "render"]
