"""Stage: do the served requests still look like what the champion learned from, and are its answers still right?"""

from ml.monitor.answer import answer
from ml.monitor.report import report
from ml.monitor.stage import run
from ml.monitor.telling import news

__all__ = ["answer", "news", "report", "run"]
