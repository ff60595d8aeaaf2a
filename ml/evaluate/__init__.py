"""Stage 5: candidate, champion and baselines on the same frozen rows that none of them has learned from."""

from ml.evaluate.stage import run

__all__ = ["run"]
