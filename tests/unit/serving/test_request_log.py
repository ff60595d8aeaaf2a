"""The request log keeps what it can, counts what it cannot, and never makes an answer wait."""

import json
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import psycopg2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ml import requests
from ml.database import connect, migrate
from ml.embedded.processes import free_port
from ml.requests import Request
from ml.serving.log import RequestLog

NOON = datetime(2013, 1, 5, 12, tzinfo=UTC)
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"))
VALUE = st.none() | st.booleans() | TEXT | st.floats(allow_nan=False, allow_infinity=False)


def make_request(name: str, rows: list[dict[str, Any]] | None = None, *, at: datetime = NOON, problem: str = "p") -> Request:
    rows = rows if rows is not None else [{"a": 1}]
    return Request(name, problem, 3, at, [None] * len(rows), rows, [{"score": 0.25, "decision": False}] * len(rows))


@pytest.fixture(scope="module")
def url(database):
    url = database("request_log")
    migrate(url)
    return url


@pytest.fixture(scope="module")
def connection(url):
    with closing(connect(url)) as connection:
        yield connection


def wait_until_empty(log: RequestLog) -> None:
    end = time.monotonic() + 20
    while log.counts["waiting"] and time.monotonic() < end:
        time.sleep(0.02)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(keys=st.lists(st.none() | TEXT, min_size=1, max_size=4), values=st.data(), score=st.floats(0, 1))
def test_what_is_appended_is_read_back_exactly(connection, url, keys, values, score):
    problem = f"p{time.monotonic_ns()}"
    rows = [{"a": values.draw(VALUE), "b": values.draw(TEXT)} for _ in keys]
    request = Request(problem, problem, 3, NOON, keys, rows, [{"score": score, "decision": score > 0.5}] * len(keys))
    assert requests.append(connection, [request]) == len(keys)
    read = requests.read(url, problem, NOON, NOON + timedelta(seconds=1))
    assert read.schema.equals(requests.SCHEMA)
    found = read.to_pylist()
    assert [row["position"] for row in found] == list(range(len(keys)))
    assert [row["key"] for row in found] == keys
    assert [json.loads(row["row"]) for row in found] == rows
    assert [(row["score"], row["decision"]) for row in found] == [(score, score > 0.5)] * len(keys)


def test_the_same_request_again_is_kept_once(connection, url):
    for _ in range(2):
        requests.append(connection, [make_request("twice", problem="twice")])
    assert requests.read(url, "twice", NOON, NOON + timedelta(days=1)).num_rows == 1


def test_reading_takes_the_start_and_leaves_the_end(connection, url):
    zone = timezone(timedelta(hours=-5))
    moments = [NOON + timedelta(hours=hours) for hours in (0, 1, 2)]
    requests.append(connection, [make_request(f"at {m}", at=m.astimezone(zone), problem="span") for m in reversed(moments)])
    read = requests.read(url, "span", moments[0], moments[2])
    assert read["served_at"].to_pylist() == moments[:2]


def test_a_span_without_requests_has_the_columns_all_the_same(url):
    read = requests.read(url, "nobody", NOON, NOON)
    assert (read.num_rows, read.schema.equals(requests.SCHEMA)) == (0, True)


def test_while_the_database_is_away_rows_wait_and_beyond_the_room_they_are_dropped_and_counted():
    log = RequestLog(f"postgresql://127.0.0.1:{free_port(0)}/nowhere", capacity_rows=5)
    started = time.monotonic()
    for number in range(4):
        log.put(make_request(f"r{number}", [{"a": 1}, {"a": 2}]))
    assert time.monotonic() - started < 0.5
    assert (log.counts["waiting"], log.counts["dropped"]) == (4, 4)
    log.close(timeout_s=1)
    assert time.monotonic() - started < 10
    assert "away" in log.counts["error"]
    assert log.counts["written"] == 0


def test_closing_writes_what_waits(url):
    log = RequestLog(url)
    for number in range(500):
        log.put(make_request(f"closing {number}", problem="closing"))
    log.close()
    assert log.counts == {"written": 500, "waiting": 0, "dropped": 0, "error": ""}
    assert requests.read(url, "closing", NOON, NOON + timedelta(days=1)).num_rows == 500


def test_a_value_that_the_database_refuses_holds_up_nothing(url):
    log = RequestLog(url)
    for name in ("before", "bad\0", "after"):
        log.put(make_request(name, problem="poison"))
    wait_until_empty(log)
    log.close()
    assert (log.counts["written"], log.counts["dropped"]) == (2, 1)
    read = requests.read(url, "poison", NOON, NOON + timedelta(days=1))
    assert read["request_id"].to_pylist() == ["after", "before"]


def test_a_table_that_is_missing_is_told_and_waited_for(database):
    url = database("not_migrated")
    log = RequestLog(url)
    log.put(make_request("early"))
    end = time.monotonic() + 20
    while not log.counts["error"] and time.monotonic() < end:
        time.sleep(0.02)
    assert "request_log" in log.counts["error"]
    migrate(url)
    wait_until_empty(log)
    log.close()
    assert log.counts == {"written": 1, "waiting": 0, "dropped": 0, "error": ""}


def test_a_connection_that_the_server_ends_is_made_anew(url, postgres):
    log = RequestLog(url)
    log.put(make_request("one", problem="ended"))
    wait_until_empty(log)
    with closing(psycopg2.connect(postgres.url("postgres", user="postgres"))) as admin, admin.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (url.rpartition("/")[2],))
    log.put(make_request("two", problem="ended"))
    wait_until_empty(log)
    log.close()
    assert log.counts == {"written": 2, "waiting": 0, "dropped": 0, "error": ""}
