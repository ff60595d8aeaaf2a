"""Which alert goes where and when: severities, quiet hours over midnight and summer time, snoozes; and its words."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.notify import KINDS, Alert, Snooze, routing
from ml.notify.message import compose
from ml.problem import Alerts

ZONE = "America/New_York"
AT = datetime(2013, 2, 1, 17, tzinfo=UTC)
LATE, FAILED = Alert("night_late", "late-1", "no night", AT), Alert("retrain_failed", "run-1", "`validate` failed", AT)


def test_an_alert_goes_by_the_routes_of_its_severity_each_once():
    policy = Alerts(routes={"critical": ("pager", "mail", "pager"), "warning": ("mail",)})
    assert routing.routes_of(LATE, policy) == ("pager", "mail")
    assert routing.routes_of(FAILED, policy) == ("mail",)
    assert routing.routes_of(Alert("promoted", "p", "v2", AT), policy) == ()
    assert routing.routes_of(FAILED, Alerts(severities={"retrain_failed": "critical"})) == ("default",)


@pytest.mark.parametrize(
    ("moment", "quiet"),
    [
        ("2013-02-01T21:59:59-05:00", False),
        ("2013-02-01T22:00:00-05:00", True),
        ("2013-02-02T03:00:00-05:00", True),
        ("2013-02-02T06:59:59-05:00", True),
        ("2013-02-02T07:00:00-05:00", False),
        ("2013-07-02T10:30:00+00:00", True),  # half past six in the summer of New York
        ("2013-07-02T11:00:00+00:00", False),
    ],
)
def test_quiet_hours_follow_the_clock_on_the_problems_wall(moment, quiet):
    policy = Alerts(quiet="22:00-07:00")
    assert routing.is_quiet(policy, datetime.fromisoformat(moment), ZONE) is quiet
    held = routing.why_held(FAILED, policy, (), datetime.fromisoformat(moment), ZONE)
    assert held == ("quiet hours 22:00-07:00" if quiet else "")


@given(begin=st.times(), end=st.times(), minutes=st.integers(0, 527_040))
def test_two_spans_that_complete_each_other_share_the_day(begin, end, minutes):
    at = AT + timedelta(minutes=minutes)
    first, second = f"{begin:%H:%M}-{end:%H:%M}", f"{end:%H:%M}-{begin:%H:%M}"
    if f"{begin:%H:%M}" != f"{end:%H:%M}":
        assert routing.is_quiet(Alerts(quiet=first), at, ZONE) is not routing.is_quiet(Alerts(quiet=second), at, ZONE)


def test_the_most_serious_pass_through_quiet_hours_but_not_through_a_snooze():
    night, policy = datetime(2013, 2, 1, 8, tzinfo=UTC), Alerts(quiet="22:00-07:00")
    assert routing.why_held(LATE, policy, (), night, ZONE) == ""
    snooze = Snooze("night_late", night + timedelta(hours=1), "cli:anna")
    assert routing.why_held(LATE, policy, (snooze,), night, ZONE) == "snoozed until 2013-02-01 04:00 by cli:anna"
    assert routing.why_held(LATE, policy, (snooze,), night + timedelta(hours=1), ZONE) == ""
    assert routing.why_held(LATE, policy, (Snooze("drift", snooze.until, "x"),), night, ZONE) == ""
    assert routing.why_held(LATE, policy, (Snooze("everything", snooze.until, "x"),), night, ZONE)


@pytest.mark.parametrize("quiet", ["22-7", "22:00", "25:00-07:00", "22:00-22:00", "22:60-23:00"])
def test_hours_that_are_none_are_refused(quiet):
    with pytest.raises(ValueError, match=r"alerts\.quiet"):
        Alerts(quiet=quiet)


@pytest.mark.parametrize("kind", KINDS)
def test_every_message_says_what_happened_what_it_means_what_to_do_and_where_to_read(kind):
    alert = Alert(kind, "key", "something happened", AT, {"the run": "https://airflow/run"})
    message = compose("flights", [alert], Alerts(), timezone=ZONE, runbook="https://docs/runbook.md")
    for part in (
        "What happened: something happened",
        f"What it means: {KINDS[kind].means}",
        f"What to do: {KINDS[kind].do}",
        f"Runbook: https://docs/runbook.md#{kind}",
        "the run: https://airflow/run",
        "When: 2013-02-01 12:00 EST",
    ):
        assert part in message.text
    assert message.subject == f"[flights] {KINDS[kind].severity}: {kind.replace('_', ' ')}"


@given(st.permutations([LATE, FAILED, Alert("promoted", "p", "version 2", AT)]))
def test_several_alerts_are_one_message_the_most_serious_first_in_whatever_order_they_came(alerts):
    message = compose("flights", alerts, Alerts(), timezone=ZONE, runbook="r")
    assert message.subject == "[flights] critical: 3 alerts"
    found = [message.text.index(one.what) for one in (LATE, FAILED)]
    assert found == sorted(found)
    assert message.stamp == compose("flights", alerts[::-1], Alerts(), timezone=ZONE, runbook="r").stamp
