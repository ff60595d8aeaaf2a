"""Which alert goes where, and which one waits: for the end of quiet hours, or of a snooze. Pure, no I/O, no clock."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from ml.ledger import Entry
from ml.notify.message import Alert
from ml.problem import Alerts
from ml.problem.alerts import SEVERITIES

SNOOZED = "snoozed"  # the ledger's word for it
EVERYTHING = "everything"


@dataclass(frozen=True)
class Snooze:
    """Somebody wants to hear nothing of a kind for a while; it has an end, and somebody's name."""

    kind: str  # of alert, or `EVERYTHING`
    until: datetime
    by: str


def snoozes(entries: Sequence[Entry]) -> list[Snooze]:
    """Who asked for what last, per kind; `entries` are the problem's, oldest first. One that has ended counts no more."""
    said = {entry.body["kind"]: entry for entry in entries if entry.kind == SNOOZED}
    return [Snooze(kind, datetime.fromisoformat(one.body["until"]), one.actor) for kind, one in said.items()]


def routes_of(alert: Alert, policy: Alerts) -> tuple[str, ...]:
    """By which routes it goes, each once; none where nobody wants to hear of that severity."""
    return tuple(dict.fromkeys(policy.routes.get(alert.severity(policy), ())))


def why_held(alert: Alert, policy: Alerts, snoozed: Sequence[Snooze], now: datetime, timezone: str) -> str:
    """Why it waits although its route is there; empty when it may go out.

    Args:
        timezone: of the quiet hours.
    """
    for one in snoozed:
        if one.kind in (alert.kind, EVERYTHING) and now < one.until:
            return f"snoozed until {one.until.astimezone(ZoneInfo(timezone)):%Y-%m-%d %H:%M} by {one.by}"
    serious = SEVERITIES.index(alert.severity(policy)) >= SEVERITIES.index(policy.quiet_below)
    if serious or not is_quiet(policy, now, timezone):
        return ""
    return f"quiet hours {policy.quiet}"


def is_quiet(policy: Alerts, now: datetime, timezone: str) -> bool:
    """Whether the clock on the wall stands within the quiet hours; they may cross midnight."""
    if policy.quiet_hours is None:
        return False
    (begin, end), clock = policy.quiet_hours, now.astimezone(ZoneInfo(timezone)).time()
    return begin <= clock < end if begin < end else clock >= begin or clock < end
