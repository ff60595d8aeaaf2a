"""What a column looks like, counted in one pass: for the contract, the history of validation, drafts, diffs and reports."""

from ml.profile.merging import merge, merge_columns, scaled
from ml.profile.profiler import Profiler
from ml.profile.record import GRID, ColumnProfile, Profile

__all__ = ["GRID", "ColumnProfile", "Profile", "Profiler", "merge", "merge_columns", "scaled"]
