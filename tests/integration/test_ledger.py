"""The ledger on real Postgres, and on SQLite: idempotent, in order, whole, and one winner per race."""

import json
import multiprocessing
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import psycopg2
import pytest

from ml import database as databases
from ml.errors import ConfigError, RefusedError
from ml.ledger import Champion, Ledger
from ml.settings import PROJECT

NOW = datetime(2013, 2, 1, 8, 30, 0, 123456, tzinfo=UTC)


def champion(version):
    return Champion(version, f"night-{version}", f"digest-{version}")


def promote(ledger, version, expected, problem="flights"):
    key = f"night-{version}"
    return ledger.move(problem, to=champion(version), expected=expected, kind="promote", key=key, actor="gate", body={})


@pytest.fixture
def postgres_ledger(database):
    url = database("ledger")
    databases.migrate(url)
    return Ledger(url, now=lambda: NOW)


@pytest.fixture(params=["postgres", "sqlite"])
def ledger(request, tmp_path):
    if request.param == "postgres":
        return request.getfixturevalue("postgres_ledger")
    url = f"sqlite:///{tmp_path}/state.db"
    databases.migrate(url)
    return Ledger(url, now=lambda: NOW)


def test_an_entry_is_written_once_and_read_back_alike(ledger):
    body = {"rules": [{"value": 0.1 + 0.2, "limit": float("nan"), "holds": False}], "größe": "ü", "at": NOW}
    first = ledger.append("flights", "verdict", key="night", actor="gate", run_key="night", body=body)
    again = ledger.append("flights", "verdict", key="night", actor="somebody else", body={})
    assert again == first
    assert ledger.entries() == [first]
    assert first.at == NOW
    assert first.body["rules"][0] == {"value": 0.1 + 0.2, "limit": "NaN", "holds": False}
    assert ledger.find("flights", "verdict", "night") == first
    assert ledger.find("flights", "promote", "night") is None


def test_entries_of_all_problems_form_one_chain(ledger):
    first = ledger.append("flights", "verdict", key="1", actor="gate")
    second = ledger.append("complaints", "verdict", key="1", actor="gate")
    assert (second.id, second.previous) == (first.id + 1, first.hash)
    assert ledger.entries("complaints") == [second]
    assert ledger.verify() == []


def test_the_champion_is_the_last_move(ledger):
    assert ledger.champion("flights") is None
    promote(ledger, 1, None)
    promote(ledger, 2, 1)
    back = {"to": champion(1), "expected": 2, "kind": "rollback", "key": "back", "actor": "cli:anna"}
    ledger.move("flights", **back, body={"comment": "too many alarms"})
    now = ledger.champion("flights")
    assert now[:3] == champion(1)[:3]
    assert now.since == NOW
    assert ledger.entries()[-1].body == {"comment": "too many alarms", "model_digest": "digest-1", "previous": 2}
    assert ledger.champion("complaints") is None


def test_the_same_move_again_returns_the_first_entry_whoever_is_champion_now(ledger):
    first = promote(ledger, 1, None)
    promote(ledger, 2, 1)
    assert promote(ledger, 1, None) == first
    assert ledger.champion("flights").version == 2


def test_a_move_over_another_champion_is_refused_and_names_it(ledger):
    promote(ledger, 1, None)
    promote(ledger, 2, 1)
    with pytest.raises(RefusedError, match=r"version 1 as champion, but by now it is version 2 of run night-2"):
        promote(ledger, 3, 1)
    with pytest.raises(RefusedError, match="no version as champion"):
        promote(ledger, 3, None)
    assert len(ledger.entries()) == 2


def race(url, version, ready, results):
    """A process of its own, with a connection of its own, that starts when all others are there."""
    ready.wait()
    try:
        results.put(promote(Ledger(url), version, 1).version)
    except RefusedError as error:
        results.put(str(error))


def test_of_32_processes_that_promote_at_once_exactly_one_wins_and_the_others_hear_who(postgres_ledger):
    promote(postgres_ledger, 1, None)
    spawn = multiprocessing.get_context("forkserver")
    spawn.set_forkserver_preload([__name__, "ml.ledger", "sqlalchemy.dialects.postgresql.psycopg2"])
    ready, queue = spawn.Barrier(32), spawn.Queue()
    racers = [spawn.Process(target=race, args=(postgres_ledger.url, version, ready, queue)) for version in range(100, 132)]
    for racer in racers:
        racer.start()
    results = [queue.get(timeout=120) for _ in racers]
    for racer in racers:
        racer.join(60)
    winners = [result for result in results if isinstance(result, int)]
    assert len(winners) == 1
    refusals = [result for result in results if isinstance(result, str)]
    assert all(f"by now it is version {winners[0]} " in refusal for refusal in refusals)
    assert postgres_ledger.champion("flights").version == winners[0]
    assert postgres_ledger.verify() == []
    assert len(postgres_ledger.entries()) == 2


def test_many_writers_at_once_make_one_unbroken_chain(ledger):
    def write(number):
        Ledger(ledger.url).append("flights", "verdict", key=str(number % 20), actor="gate")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(40)))
    assert [entry.id for entry in ledger.entries()] == list(range(1, 21))
    assert ledger.verify() == []


def execute(url, statement):
    with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(statement)


@pytest.mark.parametrize("statement", ["UPDATE ledger SET actor = 'x'", "DELETE FROM ledger", "TRUNCATE ledger"])
def test_the_database_refuses_to_change_what_was_written(postgres_ledger, statement):
    promote(postgres_ledger, 1, None)
    with pytest.raises(psycopg2.errors.RaiseException, match="append-only"):
        execute(postgres_ledger.url, statement)


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("UPDATE ledger SET version = 7 WHERE id = 2", ["Entry 2 (promote night-2 of flights) was changed"]),
        ("UPDATE ledger SET at = at + interval '1 us' WHERE id = 1", ["Entry 1 (promote night-1 of flights) was changed"]),
        ("UPDATE ledger SET body = '{}' WHERE id = 3", ["Entry 3 (promote night-3 of flights) was changed"]),
        ("DELETE FROM ledger WHERE id = 2", ["Entry 2 is missing"]),
        (
            "UPDATE ledger SET id = 9 WHERE id = 2; UPDATE ledger SET id = 2 WHERE id = 3; UPDATE ledger SET id = 3 WHERE id = 9",
            ["Entry 2 does not", "Entry 2 (promote night-3", "Entry 3 does not", "Entry 3 (promote night-2"],
        ),
        ("UPDATE ledger SET previous = repeat('0', 64) WHERE id = 3", ["Entry 3 does not follow entry 2", "Entry 3 (promote"]),
    ],
)
def test_verify_names_the_row_that_somebody_changed_with_the_trigger_off(postgres_ledger, statement, told):
    for version in (1, 2, 3):
        promote(postgres_ledger, version, version - 1 or None)
    assert postgres_ledger.verify() == []
    off, on = (f"ALTER TABLE ledger {verb} TRIGGER ledger_append_only; " for verb in ("DISABLE", "ENABLE"))
    execute(postgres_ledger.url, off + statement + "; " + on)
    found = postgres_ledger.verify()
    assert [sentence.startswith(start) for sentence, start in zip(found, told, strict=True)] == [True] * len(told)


def test_who_was_champion_is_known_for_any_moment(ledger):
    clock = iter(NOW + timedelta(days=number) for number in range(9))
    ledger.now = lambda: next(clock)
    promote(ledger, 1, None)
    promote(ledger, 2, 1)
    ledger.move("flights", to=champion(1), expected=2, kind="rollback", key="back", actor="cli:anna", body={})
    hour = timedelta(hours=1)
    moments = [NOW - hour, NOW, NOW + hour, NOW + timedelta(days=1, hours=1), NOW + timedelta(days=2), NOW + timedelta(days=99)]
    found = [ledger.champion("flights", at=moment) for moment in moments]
    assert [one and one.version for one in found] == [None, 1, 1, 2, 1, 1]
    tokyo = (NOW + hour).astimezone(ZoneInfo("Asia/Tokyo"))
    assert ledger.champion("flights", at=tokyo).version == 1
    assert ledger.champion("complaints", at=NOW) is None


def ml(url, *arguments):
    """Exit status, what was printed, what went to stderr."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("EVERGREEN_")}
    environment = kept | {"EVERGREEN_DATABASE_URL": url, "NO_COLOR": "1", "COLUMNS": "300"}
    command = [sys.executable, "-m", "ml", "ledger", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=PROJECT, env=environment, timeout=120, check=False)
    return done.returncode, done.stdout, done.stderr


def test_the_command_line_names_what_was_changed_and_who_was_champion_when(postgres_ledger):
    url = postgres_ledger.url
    for version in (1, 2, 3):
        promote(postgres_ledger, version, version - 1 or None)
    status, printed, _ = ml(url, "verify", "--json")
    whole = json.loads(printed)
    assert (status, whole["entries"], whole["broken"]) == (0, 3, [])
    status, printed, _ = ml(url, "champion", "--problem", "flights", "--at", "2013-02-01T08:31:00+00:00", "--json")
    assert (status, json.loads(printed)["version"]) == (0, 3)
    status, printed, _ = ml(url, "champion", "--problem", "flights", "--at", "2013-02-01T03:00:00-05:00")
    assert (status, printed.strip()) == (0, "flights had no champion at 2013-02-01T03:00:00-05:00")
    status, _, told = ml(url, "champion", "--problem", "flights", "--at", "2013-02-01T08:31:00")
    assert (status, "has no offset" in told) == (2, True)
    off, on = (f"ALTER TABLE ledger {verb} TRIGGER ledger_append_only; " for verb in ("DISABLE", "ENABLE"))
    execute(url, f"{off} DELETE FROM ledger WHERE id = 3; {on}")
    assert ml(url, "verify")[0] == 0, "a chain cut off at its end is whole in itself"
    status, printed, told = ml(url, "verify", "--noted", whole["last"], "--json")
    assert (status, json.loads(printed)["broken"][0].startswith("No entry has the hash")) == (1, True)
    execute(url, f"{off} UPDATE ledger SET actor = 'x' WHERE id = 1; {on}")
    status, printed, told = ml(url, "verify")
    assert (status, printed) == (1, "")
    assert "Entry 1 (promote night-1 of flights) was changed" in told
    assert "Traceback" not in told


def test_work_is_asked_once_is_due_in_order_and_is_done_once(ledger):
    clock = iter(NOW + timedelta(hours=number) for number in range(9))
    ledger.now = lambda: next(clock)
    assert ledger.ask("flights", "promote", "night-1", {"version": 1})
    assert ledger.ask("flights", "promote", "night-2", {"version": 2})
    assert not ledger.ask("flights", "promote", "night-1", {"version": 9})
    ledger.ask("flights", "deploy", "night-1", {})
    ledger.ask("complaints", "promote", "night-1", {})
    due = ledger.due("flights", "promote")
    assert [(work.key, work.body) for work in due] == [("night-1", {"version": 1}), ("night-2", {"version": 2})]
    assert due[0].asked_at == NOW
    ledger.done(due[0], "promoted")
    ledger.done(due[0], "again")
    assert [work.key for work in ledger.due("flights", "promote")] == ["night-2"]
    assert not ledger.ask("flights", "promote", "night-1", {"version": 1})


def test_without_tables_it_says_so(database, tmp_path):
    (tmp_path / "empty.db").touch()
    for url in (database("empty"), f"sqlite:///{tmp_path}/empty.db"):
        with pytest.raises(ConfigError, match="has no ledger yet"):
            Ledger(url).champion("flights")
        with pytest.raises(ConfigError, match="has no ledger yet"):
            Ledger(url).append("flights", "verdict", key="1", actor="gate")


def test_a_clock_without_offset_is_refused(ledger):
    ledger.now = lambda: datetime(2013, 2, 1)  # noqa: DTZ001
    with pytest.raises(ValueError, match="without offset"):
        ledger.ask("flights", "promote", "night", {})
    with pytest.raises(ValueError, match="without offset"):
        ledger.append("flights", "verdict", key="night", actor="gate")
