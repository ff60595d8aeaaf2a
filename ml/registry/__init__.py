"""MLflow behind one door: runs to look at, versions to review, aliases that follow the ledger."""

from ml.registry.registry import Registry
from ml.registry.runs import Data, Run
from ml.registry.versions import Candidate, Version

__all__ = ["Candidate", "Data", "Registry", "Run", "Version"]
