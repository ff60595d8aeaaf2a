"""Labels of keys: those of the source, and those that people and programs gave beside it, as known at a moment."""

from ml.labels.given import PEOPLE, Label, add, names, read, winning
from ml.labels.known import known, known_labels
from ml.labels.overlay import SOURCE, overlaid

__all__ = ["PEOPLE", "SOURCE", "Label", "add", "known", "known_labels", "names", "overlaid", "read", "winning"]
