"""The command line: every stage and tool without Airflow.

Exit status 0: done; 1: refused or failed for a stated reason; 2: wrong usage.
"""

from ml.cli.app import main

__all__ = ["main"]
