"""Try retraining policies on the past: history is replayed night by night with what was known then, once under each policy."""

from ml.backtest.asked import MOST_WORKERS, POLICIES, Asked
from ml.backtest.stage import PAGE, Past, run

__all__ = ["MOST_WORKERS", "PAGE", "POLICIES", "Asked", "Past", "run"]
