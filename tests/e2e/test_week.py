"""A week of nights, one after another: each in order, each judged against the champion of its time, each served."""

from datetime import timedelta

import pytest

from ml import samples
from ml.embedded import demo
from ml.ledger import Ledger

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def week(stack, progress):
    """Seven nights, played by one invocation, on top of whatever was played before."""
    return demo.play(stack, "flights", nights=7, data=None, progress=progress)


def test_seven_nights_follow_each_other_and_all_is_well(week):
    assert week.complaints == []
    first = week.nights[0]["run_key"].removeprefix("night-")
    days = [samples.first_night("flights").fromisoformat(first) + timedelta(days=number) for number in range(7)]
    assert [night["run_key"] for night in week.nights] == [f"night-{day}" for day in days]


def test_each_night_reads_the_new_day_and_reconciles(week):
    for night in week.nights:
        assert night["window"][1] == night["run_key"].removeprefix("night-")
        assert night["rows"]["valid"] + night["rows"]["quarantined"] == night["rows"]["ingested"] > 2000


def test_what_serves_is_what_the_last_yes_said(week, stack):
    """A night that says yes serves its own version from then on; a night that says no leaves the old one."""
    versions = [night["version"] for night in week.nights]
    for night, before, now in zip(week.nights[1:], versions, versions[1:], strict=False):
        assert (now > before) == (night["verdict"]["decision"] == "promote")
        assert night["serving"]["answer"]["version"] == now
    champion = Ledger(stack.settings.database_url).champion("flights")
    assert champion is not None and champion.version == versions[-1]
