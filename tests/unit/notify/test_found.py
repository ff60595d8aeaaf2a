"""What the ledger says that people should know, and when a night is late."""

from datetime import datetime

import pytest

from ml.ledger import GENESIS, Entry
from ml.notify import found
from ml.policy import DECIDED
from tests.unit.notify.conftest import Care


def entry(kind: str, at: str, **body: object) -> Entry:
    return Entry(1, "flights", kind, f"key-{at}", 2, "run-1", "somebody", datetime.fromisoformat(at), body, GENESIS)


def late(care: Care, now: str, *entries: Entry, **policy: object) -> str | None:
    alert = found.late(care.policy(**policy).context.problem, entries, datetime.fromisoformat(now))
    return alert.what if alert else None


OLD = entry("promote", "2013-01-01T12:00:00-05:00", model_digest="x")


@pytest.mark.parametrize(
    ("last", "now", "is_late"),
    [
        (entry(DECIDED, "2013-02-01T03:10:00-05:00", train=False), "2013-02-01T09:00:00-05:00", False),
        (entry("verdict", "2013-02-01T08:59:00-05:00", verdict={}), "2013-02-01T09:00:00-05:00", False),
        (entry(DECIDED, "2013-02-01T03:10:00-05:00", train=True), "2013-02-01T09:00:00-05:00", True),  # began, never judged
        (entry("verdict", "2013-01-31T03:10:00-05:00", verdict={}), "2013-02-01T08:59:00-05:00", False),  # not due yet
        (entry("verdict", "2013-01-31T03:10:00-05:00", verdict={}), "2013-02-01T09:00:00-05:00", True),  # at the minute
    ],
    ids=["needed no training", "judged", "hangs", "before its deadline", "never began"],
)
def test_a_night_is_late_when_none_has_ended_since_it_was_due(care, last, now, is_late):
    assert (late(care, now, OLD, last) is not None) is is_late


def test_a_late_night_is_one_alert_however_often_one_looks_and_says_since_when(care):
    problem, last = care.context.problem, entry("verdict", "2013-01-31T03:10:00-05:00", verdict={})
    seen = [found.late(problem, [OLD, last], datetime.fromisoformat(f"2013-02-01T{hour}:00:00-05:00")) for hour in (10, 20)]
    assert len({one.key for one in seen if one}) == 1
    assert (
        seen[0] and "the night of 2013-02-01 03:00 EST has not ended 6 hours later; the last one ended 2013-01-31" in seen[0].what
    )


def test_a_weekly_schedule_has_a_weekly_deadline(care):
    problem = care.context.problem
    weekly = problem.model_copy(update={"schedule": problem.schedule.model_copy(update={"retrain": "0 3 * * 1"})})
    last = entry("verdict", "2013-01-28T03:10:00-05:00", verdict={})  # a Monday
    for day, is_late in (("2013-02-03T12:00", False), ("2013-02-04T08:00", False), ("2013-02-04T09:00", True)):
        assert bool(found.late(weekly, [OLD, last], datetime.fromisoformat(f"{day}:00-05:00"))) is is_late


def test_a_problem_is_not_late_before_anything_ever_happened_nor_for_a_night_before_its_first_deed(care):
    assert late(care, "2013-02-01T12:00:00-05:00") is None
    assert late(care, "2013-02-01T12:00:00-05:00", entry("contract", "2013-02-01T03:30:00-05:00")) is None
    assert late(care, "2013-02-02T12:00:00-05:00", entry("contract", "2013-02-01T03:30:00-05:00")) is not None


def test_news_are_what_happened_lately_and_values_of_rows_are_not_among_it():
    now = datetime.fromisoformat("2013-02-02T12:00:00-05:00")
    at = "2013-02-01T12:00:00-05:00"
    entries = [
        entry("promote", "2013-01-01T12:00:00-05:00", model_digest="x"),
        entry("told", "2013-02-01T06:00:00-05:00", why="data drift since 2013-01-31: carrier"),
        entry("told", at, why="the retrain did not pass the gate", verdict="reject"),
        entry("labels_asked", at, why="900 answers have no label"),
        entry("retrain_asked", at, why="drift: concept", findings=[{"value": 1}]),
        entry("promote", at, model_digest="x", previous=1),
        entry("rollback", at, model_digest="x", previous=3),
        entry("contract", at),
    ]
    alerts = found.news(entries, now)
    kinds = ["drift", "retrain_refused", "labels_asked", "retrain_asked", "promoted", "rolled_back"]
    assert [alert.kind for alert in alerts] == kinds
    assert len({alert.key for alert in alerts}) == len(kinds)
    assert alerts[-1].what == "version 2 is champion again instead of version 3, by somebody"
