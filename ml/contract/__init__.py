"""What was agreed on about the source: columns, types, units and looks; and what differs from it, with the likely reason."""

from ml.contract.batch import BatchProfiler
from ml.contract.compare import compare
from ml.contract.follow import accept, follow, record, retyped
from ml.contract.record import Acceptance, Batch, Column, Contract, Difference, Hypothesis, Pending
from ml.contract.types import compare_types
from ml.contract.words import describe, listed, told

__all__ = [
    "Acceptance",
    "Batch",
    "BatchProfiler",
    "Column",
    "Contract",
    "Difference",
    "Hypothesis",
    "Pending",
    "accept",
    "compare",
    "compare_types",
    "describe",
    "follow",
    "listed",
    "record",
    "retyped",
    "told",
]
