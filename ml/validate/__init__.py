"""Stage 2: rows that keep every rule go to `valid`, the others to `quarantine` with the rules they broke."""

from ml.validate.stage import broken_by, run

__all__ = ["broken_by", "run"]
