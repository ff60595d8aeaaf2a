"""One thing to tell, and its words: what happened, what it means, what to do, where to look. Pure."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from ml.notify.kinds import KINDS
from ml.problem import Alerts
from ml.problem.alerts import SEVERITIES, Kind, Severity


@dataclass(frozen=True)
class Alert:
    """One thing to tell. `what` names tasks, columns and versions, never values of rows: it leaves the house."""

    kind: Kind
    key: str  # the same again is the same alert
    what: str
    at: datetime
    links: Mapping[str, str] = field(default_factory=dict)

    def severity(self, policy: Alerts) -> Severity:
        """How serious it is for this problem."""
        return policy.severities.get(self.kind, KINDS[self.kind].severity)

    @property
    def body(self) -> dict[str, Any]:
        """As a row of work keeps it."""
        return {"kind": self.kind, "what": self.what, "at": self.at.isoformat(), "links": dict(self.links)}

    @classmethod
    def of(cls, key: str, body: Mapping[str, Any]) -> "Alert":
        """Read back what `body` wrote."""
        return cls(body["kind"], key, body["what"], datetime.fromisoformat(body["at"]), body["links"])


@dataclass(frozen=True)
class Message:
    """What goes out by one route at once: one alert, or all that waited."""

    subject: str
    text: str
    severity: Severity
    stamp: str  # the same again is the same message, for sinks that can tell


def worst(severities: Sequence[Severity]) -> Severity:
    """The most serious one."""
    return max(severities, key=SEVERITIES.index)


def compose(problem: str, alerts: Sequence[Alert], policy: Alerts, *, timezone: str, runbook: str) -> Message:
    """One message about one or several alerts, the most serious first.

    Args:
        timezone: of the moments that people read.
        runbook: address of docs/runbook.md.
    """
    ordered = sorted(alerts, key=lambda one: (-SEVERITIES.index(one.severity(policy)), one.at))
    severity = ordered[0].severity(policy)
    about = ordered[0].kind.replace("_", " ") if len(ordered) == 1 else f"{len(ordered)} alerts"
    text = "\n\n".join(_words(one, policy, ZoneInfo(timezone), runbook) for one in ordered)
    stamp = hashlib.sha256("\n".join([problem, *sorted(one.key for one in alerts)]).encode()).hexdigest()[:32]
    return Message(f"[{problem}] {severity}: {about}", text, severity, stamp)


def _words(alert: Alert, policy: Alerts, zone: ZoneInfo, runbook: str) -> str:
    about = KINDS[alert.kind]
    lines = [
        f"What happened: {alert.what}",
        f"What it means: {about.means}",
        f"What to do: {about.do}",
        f"Runbook: {runbook}#{alert.kind}",
        *(f"{name}: {address}" for name, address in alert.links.items()),
        f"When: {alert.at.astimezone(zone):%Y-%m-%d %H:%M %Z}; severity {alert.severity(policy)}",
    ]
    return "\n".join(lines)
