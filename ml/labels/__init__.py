"""Labels of keys: those of the source, and those that people and programs gave beside it, as known at a moment."""

from ml.labels.given import PEOPLE, Label, add, read, winning
from ml.labels.known import known, known_labels
from ml.labels.overlay import SOURCE, overlaid
from ml.labels.value import checked, targets_of

__all__ = ["PEOPLE", "SOURCE", "Label", "add", "checked", "known", "known_labels", "overlaid", "read", "targets_of", "winning"]
