"""What people see at a glance: every problem in a line, one problem on a page, last night in a few sentences. Reads only."""

from ml.overview.brief import Brief, Step, brief
from ml.overview.fleet import Glance, fleet, glance
from ml.overview.live import Point
from ml.overview.nights import Night
from ml.overview.problem import Detail, Version, detail
from ml.overview.timeline import Event

__all__ = [
    "Brief", "Detail", "Event", "Glance", "Night", "Point", "Step", "Version", "brief", "detail", "fleet", "glance",
]  # fmt: skip
