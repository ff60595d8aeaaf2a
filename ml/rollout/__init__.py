"""Taking a version into service by and by: who meets it, what stops it, how far it has come. Pure, and the ledger's entries."""

from ml.rollout.arms import place
from ml.rollout.compare import Comparison, compare, paired
from ml.rollout.rates import Rate, against
from ml.rollout.story import Rollout, serving, under_way

__all__ = ["Comparison", "Rate", "Rollout", "against", "compare", "paired", "place", "serving", "under_way"]
