"""What follows from a drift: pure decisions, and the days before that they rest on."""

from datetime import UTC, date, datetime, timedelta

import pytest

from ml.ledger import Champion, Entry
from ml.monitor import actions, history
from ml.monitor.actions import Seen
from ml.problem import Drift
from ml.records import DriftFinding, Interval, Monitored, MonitoredDay

TODAY = date(2026, 3, 10)
NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
CHAMPION = Champion(3, "made", "digest", NOON - timedelta(days=30), 7)


def finding(kind, subject, *, drifted=True):
    words = "carrier: 12.0% not seen in training ('Anna Smith')"
    return DriftFinding(kind=kind, subject=subject, drifted=drifted, value=0.5, limit=0.2, p_value=0.001, sentence=words)


def monitored(*findings, version=3, num_labelled=500, **verdicts):
    every = {"data": "no drift", "prediction": "no drift", "concept": "no drift"} | verdicts
    return Monitored(
        version=version, num_requests=1000, num_labelled=num_labelled, verdicts=every, findings=findings, retrain=False, reason=""
    )


def days_ago(number, said):
    return MonitoredDay(day=TODAY - timedelta(days=number), run_key=f"run-{number}", said=said)


def seen(record, **earlier):
    return Seen(record, CHAMPION, TODAY, earlier)


def test_live_quality_asks_for_a_retrain_on_its_first_day_and_the_ledger_gets_no_sentence():
    record = monitored(finding("concept", "auc"), finding("data", "carrier"), concept="drift", data="drift")
    asked = actions.retrain(seen(record), Drift(persistence=3))
    assert asked is not None and asked.key == "v3-2026-03-10" and asked.why == "drift: concept"
    assert asked.body["since"] == "2026-03-10"
    assert [one["subject"] for one in asked.body["findings"]] == ["auc", "carrier"]
    assert "Anna" not in str(asked)


@pytest.mark.parametrize(("days", "asked"), [(0, False), (1, False), (2, True), (5, True)])
def test_data_drift_must_last_before_it_counts(days, asked):
    policy = Drift(persistence=3, retrain_on=("data",))
    earlier = [TODAY - timedelta(days=number) for number in range(1, days + 1)]
    proposal = actions.retrain(seen(monitored(finding("data", "carrier"), data="drift"), data=earlier), policy)
    assert (proposal is not None) == asked
    if proposal:
        assert proposal.body["since"] == str(TODAY - timedelta(days=days))


def test_what_no_retrain_follows_from_is_told_under_one_key_as_long_as_it_lasts():
    record, policy = monitored(finding("data", "carrier"), finding("data", "wind"), data="drift"), Drift(persistence=2)
    assert actions.tell(seen(record), policy) == []
    keys = set()
    for length in (1, 2, 3):  # the third, fourth and fifth day of a drift that began on the eighth
        on = TODAY + timedelta(days=length)
        earlier = [on - timedelta(days=number) for number in range(1, length + 2)]
        (told,) = actions.tell(Seen(record, CHAMPION, on, {"data": earlier}), policy)
        keys.add(told.key)
        assert "carrier, wind" in told.why and "Anna" not in told.why
    assert keys == {"v3-data-2026-03-09"}
    again = [TODAY + timedelta(days=20)]
    (another,) = actions.tell(Seen(record, CHAMPION, TODAY + timedelta(days=21), {"data": again}), policy)
    assert another.key not in keys, "a drift that begins anew is news"


def test_what_leads_to_a_retrain_is_not_told_as_well():
    record = monitored(finding("concept", "auc"), concept="drift")
    assert actions.tell(seen(record), Drift()) == []


@pytest.mark.parametrize(
    ("gain", "rolls_back"),
    [((0.1, 0.02, 0.18), True), ((0.1, -0.01, 0.2), False), ((-0.1, -0.2, -0.01), False), ((0.1, float("nan"), 0.2), False)],
    ids=["surely better", "perhaps better", "worse", "nothing known"],
)
def test_the_way_back_is_proposed_only_where_the_earlier_one_is_surely_better(gain, rolls_back):
    value, low, high = gain
    record = monitored(finding("concept", "auc"), concept="drift")
    asked = actions.rollback(seen(record), Champion(2, "before", "d"), Interval(value=value, low=low, high=high), "auc")
    assert (asked is not None) == rolls_back
    if asked:
        assert asked.body["to"] == 2 and asked.body["entry"] == 7 and "+0.100 [+0.020, +0.180]" in asked.why


@pytest.mark.parametrize(
    ("policy", "subject", "may"),
    [(Drift(rollback=True), "auc", True), (Drift(), "auc", False), (Drift(rollback=True), "calibration", False)],
    ids=["below its guardrail", "not allowed", "quality itself holds"],
)
def test_going_back_needs_leave_and_a_broken_guardrail(policy, subject, may):
    record = monitored(finding("concept", subject), concept="drift")
    assert actions.may_roll_back(seen(record), policy, "auc") == may


@pytest.mark.parametrize(
    ("known", "waiting", "since", "asked"),
    [
        (10, 900, 30, True),
        (0, 900, 30, True),
        (300, 900, 30, False),
        (10, 100, 30, False),
        (10, 900, 6, False),
    ],
    ids=["too few came", "none came", "enough came", "hardly asked", "too young to have labels"],
)
def test_labels_are_asked_for_only_where_they_should_have_come(known, waiting, since, asked):
    champion = CHAMPION._replace(since=NOON - timedelta(days=since))
    proposal = actions.label(Seen(monitored(num_labelled=known), champion, TODAY, {}), Drift(), waiting, NOON)
    assert (proposal is not None) == asked
    if proposal:
        assert f"{waiting} of {waiting + known} answers of 7 days have no label" in proposal.why


def test_the_cooldown_counts_requests_for_a_retrain_only_and_by_the_clock_of_the_business():
    def entry(kind, days):
        return Entry(1, "flights", kind, "k", 3, "run", "monitor", NOON - timedelta(days=days), {}, "")

    assert actions.cooling([entry("told", 1)], NOON, 7) is None
    assert actions.cooling([entry("retrain_asked", 8)], NOON, 7) is None
    assert actions.cooling([entry("retrain_asked", 8), entry("retrain_asked", 6)], NOON, 7) == entry("retrain_asked", 6)


def test_since_is_the_first_day_of_the_run_of_days_and_days_nobody_could_judge_do_not_break_it():
    drift, quiet = monitored(finding("data", "carrier")), monitored(finding("data", "carrier", drifted=False))
    unknown = monitored(finding("data", "carrier", drifted=None))
    before = [days_ago(1, drift), days_ago(2, unknown), days_ago(3, drift), days_ago(4, quiet), days_ago(5, drift)]
    record = history.dated(monitored(finding("data", "carrier"), finding("data", "wind", drifted=False)), TODAY, before)
    assert [one.since for one in record.findings] == [date(2026, 3, 7), None]
    assert history.dated(monitored(finding("data", "wind")), TODAY, before).findings[0].since == TODAY


def test_verdicts_in_a_row_end_at_the_first_quiet_day():
    drift, unknown = monitored(data="drift"), monitored(data="not assessable")
    before = [days_ago(1, unknown), days_ago(2, drift), days_ago(3, monitored()), days_ago(4, drift)]
    assert history.verdicts_in_a_row("data", before) == [date(2026, 3, 8)]
    assert history.verdicts_in_a_row("skew", before) == [], "a kind that was not judged then"


def test_a_new_champion_starts_anew():
    before = [days_ago(1, monitored()), days_ago(2, monitored()), days_ago(3, monitored(version=2))]
    assert history.reign(before, 3) == before[:2] and history.reign(before, 4) == []
