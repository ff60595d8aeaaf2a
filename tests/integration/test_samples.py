"""Histories played into a real production table: at any moment it holds what was known by then, and no more."""

import os
import time
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from ml import database, problem, samples
from ml.errors import ConfigError, DataError
from ml.settings import PROJECT

NEW_YORK = ZoneInfo("America/New_York")
FIRST = datetime(2013, 1, 20, 3, tzinfo=NEW_YORK)


def ask(url, query, *values):
    with closing(database.connect(url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(query, values)
        return cursor.fetchall() if cursor.description else []


@pytest.fixture(scope="module")
def flights(database):
    url = database("samples_flights")
    assert samples.load("flights", url) == 336_776
    return url


KNOWN = """
SELECT count(*), count(late_15), count(*) FILTER (WHERE available_at > %s), count(*) FILTER (WHERE outcome_at > %s),
       count(*) FILTER (WHERE outcome_at IS NULL AND num_nonnulls(late_15, dep_delay, arr_delay, air_time, cancelled) > 0)
FROM flights
"""


def test_production_table_holds_what_was_known_and_no_more(flights):
    moved = samples.advance("flights", flights, FIRST)
    num_rows, num_labels, too_early, outcome_too_early, outcomes_without_time = ask(flights, KNOWN, FIRST, FIRST)[0]
    assert (too_early, outcome_too_early, outcomes_without_time) == (0, 0, 0)
    history = "SELECT count(*), count(*) FILTER (WHERE outcome_at <= %s AND late_15 IS NOT NULL) FROM replay.flights"
    assert (num_rows, num_labels) == ask(flights, history + " WHERE available_at <= %s", FIRST, FIRST)[0]
    assert moved.num_new == num_rows
    assert moved.num_outcomes > num_labels > 15_000  # cancelled flights have an outcome but no label


def test_a_day_forward_adds_rows_and_fills_in_the_outcomes_of_the_day_before(flights):
    samples.advance("flights", flights, FIRST)
    started = time.monotonic()
    moved = samples.advance("flights", flights, FIRST + timedelta(days=1))
    seconds = time.monotonic() - started
    assert moved.num_new == 787  # known from 3:00 to 3:00, which are departures from 5:00 to 5:00
    assert 600 < moved.num_outcomes < 1_000
    newest = ask(flights, "SELECT max((sched_dep AT TIME ZONE 'America/New_York')::date) FROM flights WHERE late_15 IS NOT NULL")
    assert newest == [(date(2013, 1, 19),)]  # at 3:00 on the 21st the outcomes of the 20th are not out
    assert seconds < 0.5


def test_the_same_moment_twice_changes_nothing(flights):
    samples.advance("flights", flights, FIRST)
    before = ask(flights, "SELECT xmin, flight_id FROM flights ORDER BY 2")
    assert samples.advance("flights", flights, FIRST) == samples.Advanced(0, 0)
    assert ask(flights, "SELECT xmin, flight_id FROM flights ORDER BY 2") == before


@pytest.mark.parametrize("way", ["small steps", "back from later"])
def test_every_way_to_a_moment_leads_to_the_same_table(flights, way):
    target = FIRST + timedelta(days=3)
    query = "SELECT md5(string_agg(flights::text, '|' ORDER BY flight_id)) FROM flights"
    samples.advance("flights", flights, FIRST - timedelta(days=9999))
    assert ask(flights, "SELECT count(*) FROM flights") == [(0,)]
    samples.advance("flights", flights, target)
    direct = ask(flights, query)
    if way == "small steps":
        for hours in (0, 7, 30, 48, 72):
            samples.advance("flights", flights, FIRST + timedelta(hours=hours))
    else:
        samples.advance("flights", flights, target + timedelta(days=5))
        samples.advance("flights", flights, target)
    assert ask(flights, query) == direct


def test_stepping_back_mends_a_table_that_was_tampered_with(flights):
    samples.advance("flights", flights, FIRST)
    whole = ask(flights, "SELECT count(*), sum(distance) FROM flights")
    ask(flights, "UPDATE flights SET distance = -1, sched_dep = NULL WHERE carrier = 'UA'")
    samples.advance("flights", flights, FIRST - timedelta(seconds=1))
    samples.advance("flights", flights, FIRST)
    assert ask(flights, "SELECT count(*), sum(distance) FROM flights") == whole


def test_a_failed_move_leaves_the_table_as_it_was(flights):
    samples.advance("flights", flights, FIRST)
    before = ask(flights, "SELECT count(*), count(late_15) FROM flights")
    ask(flights, "ALTER TABLE flights RENAME COLUMN distance TO miles")
    with pytest.raises(Exception, match="distance"):
        samples.advance("flights", flights, FIRST + timedelta(days=1))
    ask(flights, "ALTER TABLE flights RENAME COLUMN miles TO distance")
    assert ask(flights, "SELECT count(*), count(late_15) FROM flights") == before
    assert samples.advance("flights", flights, FIRST + timedelta(days=1)).num_new == 787


def test_clients_send_key_and_features_only(flights):
    sent = samples.rows("flights", flights, FIRST.replace(hour=0), FIRST.replace(hour=0) + timedelta(days=1))
    features = problem.load("flights", PROJECT / "ml" / "problems").features
    assert len(sent) == 786
    assert {tuple(row) for row in sent} == {("flight_id", *features)}
    assert sent[0]["sched_dep"] == "2013-01-20T10:25:00+00:00"
    assert [row["sched_dep"] for row in sent] == sorted(row["sched_dep"] for row in sent)
    assert isinstance(sent[0]["distance"], float)


def test_clients_may_send_other_columns(flights):
    sent = samples.rows("flights", flights, FIRST, FIRST + timedelta(hours=5), columns=["tailnum"])
    assert {tuple(row) for row in sent} == {("flight_id", "tailnum")}


def test_key_and_index_of_the_production_table_are_there(flights):
    indexes = [row[0] for row in ask(flights, "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'")]
    assert any("UNIQUE" in text and "(flight_id)" in text for text in indexes)
    assert any("(sched_dep)" in text for text in indexes)


def test_a_moment_without_offset_is_refused(flights):
    with pytest.raises(ConfigError, match="no offset"):
        samples.advance("flights", flights, datetime(2013, 2, 1))  # noqa: DTZ001 - that is the point


@pytest.mark.parametrize("act", ["advance", "rows"])
def test_replaying_what_was_never_loaded_says_so(database, act):
    url = database("samples_empty")
    with pytest.raises(ConfigError, match=r"no history of complaints.*Load it first"):
        if act == "advance":
            samples.advance("complaints", url, FIRST)
        else:
            samples.rows("complaints", url, FIRST, FIRST + timedelta(days=1))


def test_unknown_sample_is_refused_with_the_known_ones():
    with pytest.raises(ConfigError, match=r"'boats'.*complaints, flights"):
        samples.first_night("boats")


CSV = """Date received,Product,Issue,Company,Submitted via,Company response to consumer,Consumer complaint narrative,\
Consumer disputed?,Complaint ID
2016-01-04,Mortgage,Payments,ACME,Web,Closed with explanation,"Two
lines",Yes,1
01/05/2016,Mortgage,Payments,ACME,Web,Closed,,No,2
"""


def test_first_night_follows_the_years_of_the_history(database, tmp_path, flights):
    url, path = database("samples_years"), tmp_path / "complaints.csv"
    assert samples.first_night("flights", flights) == samples.first_night("flights") == date(2013, 2, 1)
    path.write_text(CSV)
    samples.load("complaints", url, path)
    assert samples.first_night("complaints", url) == date(2016, 3, 19)  # all labels lie after the usual first night
    path.write_text(CSV.replace("Yes,1", ",1").replace("No,2", ",2"))
    samples.load("complaints", url, path)
    with pytest.raises(ConfigError, match="no row with a label"):
        samples.first_night("complaints", url)


def test_nothing_is_half_loaded(database, tmp_path):
    url, path = database("samples_csv"), tmp_path / "complaints.csv"
    path.write_text(CSV)
    assert samples.load("complaints", url, path) == 2
    samples.advance("complaints", url, datetime(2016, 6, 1, tzinfo=UTC))
    path.write_text(CSV.replace("No,2", "Perhaps,2"))
    with pytest.raises(DataError, match="'Perhaps'"):
        samples.load("complaints", url, path)
    assert ask(url, "SELECT complaint_id, disputed, narrative FROM complaints ORDER BY 1") == [
        ("1", True, "Two\nlines"),
        ("2", False, None),
    ]


def test_the_reading_role_may_read_the_production_table_and_not_the_future(database, tmp_path):
    url, path = database("samples_reader"), tmp_path / "complaints.csv"
    path.write_text(CSV)
    if not ask(url, "SELECT 1 FROM pg_roles WHERE rolname = 'evergreen_reader'"):
        ask(url, "CREATE ROLE evergreen_reader")
    samples.load("complaints", url, path)
    rights = "SELECT has_table_privilege('evergreen_reader', %s, 'SELECT'), has_table_privilege('evergreen_reader', %s, 'INSERT')"
    assert ask(url, rights, "public.complaints", "public.complaints") == [(True, False)]
    assert ask(url, "SELECT has_schema_privilege('evergreen_reader', 'replay', 'USAGE')") == [(False,)]


@pytest.fixture(scope="module")
def extracts():
    folder = Path(os.environ.get("EVERGREEN_DATA") or PROJECT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"the CFPB extracts are not at {folder}: set EVERGREEN_DATA to their folder")
    return folder


@pytest.mark.slow
@pytest.mark.real_data
def test_the_whole_complaints_history_loads_and_replays(database, extracts):
    url = database("samples_complaints")
    assert samples.load("complaints", url, extracts) == 767_682
    night = datetime.combine(samples.first_night("complaints"), datetime.min.time(), UTC)
    samples.advance("complaints", url, night)
    narratives, labelled = ask(
        url, "SELECT count(narrative), count(narrative) FILTER (WHERE disputed IS NOT NULL) FROM complaints"
    )[0]
    assert narratives > labelled > 3_000
    assert ask(url, "SELECT count(*) FROM complaints WHERE available_at > %s OR disputed_at > %s", night, night) == [(0,)]
    assert samples.advance("complaints", url, night + timedelta(days=1)).num_new > 0
    sent = samples.rows("complaints", url, night, night + timedelta(days=1))
    assert len(sent) == 570
