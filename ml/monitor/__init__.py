"""Stage: do the served requests still look like what the champion learned from, and are its answers still right?"""

from ml.monitor.page import report
from ml.monitor.stage import run

__all__ = ["report", "run"]
