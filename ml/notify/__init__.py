"""People are told what they should know: once, by the right route, at a decent hour, with what to do about it."""

from ml.notify.kinds import KINDS, failure
from ml.notify.message import Alert
from ml.notify.routes import Routes, read
from ml.notify.routing import SNOOZED, Snooze
from ml.notify.stage import ASKED, LOCK, raise_alert, sweep

__all__ = ["ASKED", "KINDS", "LOCK", "SNOOZED", "Alert", "Routes", "Snooze", "failure", "raise_alert", "read", "sweep"]
