"""What the ledger says that people should know, as alerts; and whether a night is late. Pure, no I/O, no clock."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from ml.ledger import Entry, Work
from ml.notify.message import Alert
from ml.policy import DECIDED
from ml.problem import Problem
from ml.problem.alerts import Kind

YOUNG = timedelta(days=3)  # what is older was told, or happened before anybody wanted to be told
PLAIN: dict[str, Kind] = {"retrain_asked": "retrain_asked", "labels_asked": "labels_asked"}


def news(entries: Iterable[Entry], now: datetime) -> list[Alert]:
    """What happened lately, oldest first."""
    found = [_of(entry) for entry in entries if now - entry.at < YOUNG]
    return [alert for alert in found if alert]


def _of(entry: Entry) -> Alert | None:
    body, key = entry.body, f"{entry.kind}-{entry.key}"
    if entry.kind == "told":
        return Alert("retrain_refused" if "verdict" in body else "drift", key, str(body["why"]), entry.at)
    if entry.kind in PLAIN:
        return Alert(PLAIN[entry.kind], key, str(body.get("why", entry.kind)), entry.at)
    if entry.kind == "promote":
        return Alert("promoted", key, f"version {entry.version} of run {entry.run_key} is champion, by {entry.actor}", entry.at)
    if entry.kind == "rollback":
        what = f"version {entry.version} is champion again instead of version {body.get('previous')}, by {entry.actor}"
        return Alert("rolled_back", key, what, entry.at)
    return None


def approvals(waiting: Iterable[Work], hours: int) -> list[Alert]:
    """Candidates that wait for a person."""
    return [
        Alert(
            "approval_waits",
            f"approve-{work.key}",
            f"version {work.body.get('version')} waits for an answer since {work.asked_at:%Y-%m-%d %H:%M} UTC; "
            f"after {hours} hours it is rejected",
            work.asked_at,
        )
        for work in waiting
    ]


def ended(entries: Iterable[Entry]) -> datetime | None:
    """When a night came to an end last: it had nothing to learn, needed no training, or its candidate was judged."""
    ends = [one.at for one in entries if one.kind == "verdict" or (one.kind == DECIDED and not one.body["train"])]
    return max(ends, default=None)


def deadline(problem: Problem, now: datetime) -> datetime:
    """When the newest night began whose deadline is over, by the problem's schedule."""
    from croniter import croniter

    over = (now - timedelta(hours=problem.alerts.deadline_hours)).astimezone(ZoneInfo(problem.source.timezone))
    # a second on, because `get_prev` leaves out the moment itself
    began: datetime = croniter(problem.schedule.retrain, over + timedelta(seconds=1)).get_prev(datetime)
    return began


def late(problem: Problem, entries: Sequence[Entry], now: datetime) -> Alert | None:
    """The night that should be over and is not. A problem that has never done anything is not late yet."""
    if not entries:
        return None
    began, last = deadline(problem, now), ended(entries)
    if (last is not None and last >= began) or entries[0].at > began:
        return None
    hours = problem.alerts.deadline_hours
    since = f"the last one ended {last:%Y-%m-%d %H:%M} UTC" if last else "none ever did"
    what = f"the night of {began:%Y-%m-%d %H:%M %Z} has not ended {hours:g} hours later; {since}"
    return Alert("night_late", f"night_late-{began:%Y%m%dT%H%M}", what, now)
