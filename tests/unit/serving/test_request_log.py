"""The request log keeps what it can, counts what it cannot, and never makes an answer wait."""

import json
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
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
from ml.privacy import Forgotten, token
from ml.requests import Request
from ml.serving.log import RequestLog, sampled

NOON = datetime(2013, 1, 5, 12, tzinfo=UTC)
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"))
VALUE = st.none() | st.booleans() | TEXT | st.floats(allow_nan=False, allow_infinity=False)


def make_request(name: str, rows: list[dict[str, Any]] | None = None, *, at: datetime = NOON, **about: Any) -> Request:
    rows = rows if rows is not None else [{"a": 1}]
    keys, answers = [about.pop("key", None)] * len(rows), [{"score": 0.25, "decision": False}] * len(rows)
    return Request(name, about.pop("problem", "p"), 3, at, keys, rows, answers, **about)


@pytest.fixture(scope="module")
def url(database):
    url = database("request_log")
    migrate(url)
    return url


@pytest.fixture(scope="module")
def connection(url):
    with closing(connect(url)) as connection:
        yield connection


def wait_until(holds: Any) -> None:
    end = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


def wait_until_empty(log: RequestLog) -> None:
    wait_until(lambda: not log.counts["waiting"])


def logged(url: str, problem: str, **options: Any) -> list[dict[str, Any]]:
    return requests.read(url, problem, NOON - timedelta(days=9), NOON + timedelta(days=9), **options).to_pylist()


def partitions(url: str) -> list[str]:
    with closing(connect(url)) as own, own.cursor() as cursor:
        cursor.execute("SELECT relid::text FROM pg_partition_tree('request_log') WHERE isleaf ORDER BY 1")
        return [name for (name,) in cursor.fetchall()]


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


def test_shadow_answers_are_read_only_when_asked_for(connection, url):
    arms = ("champion", "shadow", "challenger")
    requests.append(connection, [make_request("one" if arm != "challenger" else "two", problem="arms", arm=arm) for arm in arms])
    assert [row["arm"] for row in logged(url, "arms")] == ["champion", "challenger"]
    assert {row["arm"] for row in logged(url, "arms", shadow=True)} == set(arms)
    assert len(requests.find(url, "arms", "one")) == 1
    assert requests.answered(url, "arms", [3])[3].num_rows == 2


def test_rows_of_a_batch_that_came_before_are_left_and_the_others_written(connection, url):
    requests.append(connection, [make_request("old", problem="overlap")])
    requests.append(connection, [make_request(name, problem="overlap") for name in ("old", "new")])
    assert [row["request_id"] for row in logged(url, "overlap")] == ["new", "old"]


def test_each_day_of_utc_gets_a_partition_made_by_several_writers_at_once(database):
    url, ready = database("days"), threading.Barrier(4)
    migrate(url)
    assert partitions(url) == []
    late = datetime(2013, 1, 5, 22, tzinfo=timezone(timedelta(hours=-5)))

    def write(number: int) -> None:
        with closing(connect(url)) as own:
            ready.wait()
            requests.append(own, [make_request(f"r{number}", at=NOON), make_request(f"r{number}", at=late)])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    assert partitions(url) == ["request_log_20130105", "request_log_20130106"]
    assert len(logged(url, "p")) == 8


def test_rows_logged_before_there_were_days_move_into_them(database):
    url = database("before_days")
    migrate(url, to="0004")
    with closing(connect(url)) as own, own, own.cursor() as cursor:
        cursor.execute(
            "INSERT INTO request_log (request_id, position, problem, version, served_at, row)"
            " SELECT n::text, 0, 'old', 1, '2013-01-01T12:00Z'::timestamptz + n * interval '1 day', '{}'"
            " FROM generate_series(1, 3) n"
        )
    migrate(url)
    assert [(row["request_id"], row["arm"]) for row in logged(url, "old")] == [(name, "champion") for name in "123"]
    assert partitions(url) == [f"request_log_2013010{day}" for day in (2, 3, 4)]


def test_an_erasure_finds_what_waits_in_the_spool_and_blanks_it(url, tmp_path):
    story, keyed = 'a "long" story\twith \\ and ü', make_request("two", problem="erased", key="tab\tkey")
    held = [make_request("one", [{"story": f"once {story}!"}], problem="erased"), keyed, make_request("three", problem="erased")]
    spool = requests.Spool(tmp_path, 10**6)
    for request in held:
        spool.put(requests.lines(request), 1)
    found = [requests.about(url, tmp_path, "erased", ["tab\tkey"], [story], remove=remove) for remove in (False, True, False)]
    assert found == [2, 2, 0]
    assert requests.about(url, tmp_path, "another", ["tab\tkey"], [story]) == 0
    spool.close()
    log = RequestLog(url, tmp_path)
    wait_until_empty(log)
    log.close()
    assert [row["request_id"] for row in logged(url, "erased")] == ["three"]


def test_while_the_database_is_away_rows_wait_and_beyond_the_room_they_are_dropped_and_counted(tmp_path):
    size = len(requests.lines(make_request("r0", [{"a": 1}, {"a": 2}])))
    log = RequestLog(f"postgresql://127.0.0.1:{free_port(0)}/nowhere", tmp_path, limit_bytes=2 * size)
    for number in range(4):
        log.put(make_request(f"r{number}", [{"a": 1}, {"a": 2}]))
    wait_until(lambda: "away" in log.counts["error"])
    assert (log.counts["waiting"], log.counts["dropped"], log.counts["written"]) == (4, 4, 0)
    log.close(timeout_s=0.1)
    assert (log.counts["waiting"], log.counts["dropped"]) == (4, 4)


def test_what_waited_at_the_end_is_written_after_the_next_start(url, tmp_path):
    away = RequestLog(f"postgresql://127.0.0.1:{free_port(0)}/nowhere", tmp_path)
    for number in range(3):
        away.put(make_request(f"restart {number}", problem="restart"))
    away.close(timeout_s=0.1)
    back = RequestLog(url, tmp_path)
    wait_until(lambda: back.counts["written"] == 3)
    back.close()
    assert len(logged(url, "restart")) == 3
    assert list(tmp_path.iterdir()) == []


def test_closing_writes_what_waits(url, tmp_path):
    log = RequestLog(url, tmp_path)
    for number in range(500):
        log.put(make_request(f"closing {number}", problem="closing"))
    log.close()
    assert log.counts == {"written": 0, "waiting": 0, "dropped": 0, "error": ""}  # nobody is left to count
    assert len(logged(url, "closing")) == 500


def test_a_value_that_the_database_refuses_holds_up_nothing(url, tmp_path):
    log = RequestLog(url, tmp_path)
    for name in ("before", "bad\0", "after"):
        log.put(make_request(name, problem="poison"))
    log.put(make_request("half a pair", [{"a": "\ud800"}], problem="poison"))
    wait_until_empty(log)
    assert (log.counts["written"], log.counts["dropped"]) == (2, 2)
    log.close()
    assert [row["request_id"] for row in logged(url, "poison")] == ["after", "before"]


def test_rows_of_erased_people_and_of_problems_nobody_knows_do_not_come_out_of_the_spool(url, tmp_path):
    gone = Forgotten("key", frozenset({token("ann", b"salt")}), b"salt")
    log = RequestLog(url, tmp_path, {"known": gone}.__getitem__)
    for name in ("ann", "bob"):
        log.put(make_request(name, problem="known", key=name))
    log.put(make_request("lost", problem="unknown"))
    wait_until_empty(log)
    assert (log.counts["written"], log.counts["dropped"]) == (2, 1)
    log.close()
    assert [row["key"] for row in logged(url, "known")] == ["bob"]
    assert logged(url, "unknown") == []


def test_a_table_that_is_missing_is_told_and_waited_for(database, tmp_path):
    url = database("not_migrated")
    log = RequestLog(url, tmp_path)
    log.put(make_request("early"))
    wait_until(lambda: "request_log" in log.counts["error"])
    migrate(url)
    wait_until_empty(log)
    assert log.counts == {"written": 1, "waiting": 0, "dropped": 0, "error": ""}
    log.close()


def test_a_connection_that_the_server_ends_is_made_anew(url, postgres, tmp_path):
    log = RequestLog(url, tmp_path)
    log.put(make_request("one", problem="ended"))
    wait_until_empty(log)
    with closing(psycopg2.connect(postgres.url("postgres", user="postgres"))) as admin, admin.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (url.rpartition("/")[2],))
    log.put(make_request("two", problem="ended"))
    wait_until_empty(log)
    assert log.counts == {"written": 2, "waiting": 0, "dropped": 0, "error": ""}
    log.close()


def test_all_that_a_killed_process_had_taken_is_written_by_another_once(url, tmp_path):
    """The child is killed while it writes beside a living process; what it had put before is in the log, to the row."""
    beside = RequestLog(url, tmp_path)
    child = subprocess.Popen([sys.executable, "-c", KILLED, url, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    told = [child.stdout.readline().strip() for _ in range(2000)]
    child.kill()
    told += child.stdout.read().splitlines()[:-1]  # the last line may be torn
    child.wait()
    child.stdout.close()
    beside.put(make_request("beside", problem="killed"))
    wait_until(lambda: len(logged(url, "killed")) > len(told) and not beside.counts["waiting"])
    found = [row["request_id"] for row in logged(url, "killed")]
    assert len(found) == len(set(found))
    assert {*told, "beside"} <= set(found)
    assert (beside.counts["dropped"], beside.counts["error"]) == (0, "")
    beside.close()
    assert list(tmp_path.iterdir()) == []


KILLED = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from ml.privacy import Forgotten, token
from ml.requests import Request
from ml.serving.log import RequestLog, sampled
log = RequestLog(sys.argv[1], Path(sys.argv[2]))
for number in range(10**9):
    at = datetime(2013, 1, 5, 12, tzinfo=UTC)
    log.put(Request(f"killed {number}", "killed", 3, at, [None], [{"a": number}], [{"score": 0.25, "decision": False}]))
    print(f"killed {number}", flush=True)
"""


@given(share=st.floats(0, 1))
def test_sampling_keeps_whole_requests_and_about_the_share(share):
    names = [f"request {number}" for number in range(2000)]
    kept = [name for name in names if sampled(name, share)]
    assert kept == [name for name in names if sampled(name, share)]
    assert abs(len(kept) / len(names) - share) < 0.05
