"""The data for people: one page with every column, the labels over time, and findings in words."""

from ml.understand.findings import Finding, Reported
from ml.understand.stage import PAGE, run

__all__ = ["PAGE", "Finding", "Reported", "run"]
