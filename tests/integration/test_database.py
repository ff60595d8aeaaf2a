"""Errors of a real Postgres in our words, and migrations by several at once."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import psycopg2
import pytest
import sqlalchemy as sa

from ml import database as databases
from ml import requests
from ml.embedded.processes import free_port
from ml.errors import ConfigError, TransientError


def with_part(url, **parts):
    return sa.make_url(url).set(**parts).render_as_string(hide_password=False)


@pytest.fixture
def url(database):
    return database("errors")


def through_engine(url):
    with databases.engine(url).connect():
        pass


WAYS = pytest.mark.parametrize("reach", [lambda url: databases.connect(url).close(), through_engine], ids=["connect", "engine"])


@WAYS
def test_a_wrong_password_is_for_a_person_and_is_not_told(url, reach):
    with pytest.raises(ConfigError, match="password authentication failed") as caught:
        reach(with_part(url, password="hunter2"))
    address = sa.make_url(url)
    told = str(caught.value)
    assert "hunter2" not in told
    assert all(str(part) in told for part in (address.host, str(address.port), address.username, address.database))


@WAYS
def test_a_missing_role_or_database_is_for_a_person(url, reach):
    with pytest.raises(ConfigError, match="nobody_here"):
        reach(with_part(url, username="nobody_here"))
    with pytest.raises(ConfigError, match='database "nothing_here" does not exist'):
        reach(with_part(url, database="nothing_here"))


@WAYS
def test_a_server_that_is_away_is_worth_a_retry(url, reach):
    started = time.monotonic()
    with pytest.raises(TransientError, match="away or busy"):
        reach(with_part(url, port=free_port(0)))
    assert time.monotonic() - started < 5


def test_a_missing_privilege_is_for_a_person_but_a_missing_table_is_the_callers(url):
    with closing(databases.connect(url)) as connection, connection.cursor() as cursor:
        with pytest.raises(ConfigError, match="permission denied"):
            cursor.execute("SELECT rolpassword FROM pg_authid")
        connection.rollback()
        with pytest.raises(psycopg2.errors.UndefinedTable):
            cursor.execute("SELECT 1 FROM nothing_here")
    with databases.engine(url).connect() as sql, pytest.raises(ConfigError, match="permission denied"):
        sql.execute(sa.text("SELECT rolpassword FROM pg_authid"))
    with databases.engine(url).connect() as sql, pytest.raises(sa.exc.ProgrammingError, match="nothing_here"):
        sql.execute(sa.text("SELECT 1 FROM nothing_here"))


def test_a_connection_lost_in_the_middle_is_worth_a_retry(url):
    ended = "SELECT pg_terminate_backend(%s)"
    with closing(databases.connect(url)) as killer, killer.cursor() as cursor:
        with closing(databases.connect(url)) as victim:
            cursor.execute(ended, [victim.info.backend_pid])
            with pytest.raises(TransientError), victim, victim.cursor() as broken:
                broken.execute("SELECT 1")
        with databases.engine(url).connect() as sql:
            cursor.execute(ended, [sql.execute(sa.text("SELECT pg_backend_pid()")).scalar()])
            with pytest.raises(TransientError):
                sql.execute(sa.text("SELECT 1"))
            sql.invalidate()


def test_reading_sees_one_moment_and_cannot_write(url):
    with closing(databases.connect(url)) as writer, databases.reading(url) as reader:
        with writer, writer.cursor() as cursor:
            cursor.execute("CREATE TABLE counted (number int)")
        with reader.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM counted")
            with writer, writer.cursor() as other:
                other.execute("INSERT INTO counted VALUES (1)")
            cursor.execute("SELECT count(*) FROM counted")
            assert cursor.fetchone() == (0,)
            with pytest.raises(psycopg2.errors.ReadOnlySqlTransaction):
                cursor.execute("INSERT INTO counted VALUES (2)")


@pytest.mark.parametrize("url", ["no address", "mysql://here/there"])
def test_an_address_of_something_else_is_for_a_person(url):
    with pytest.raises(ConfigError, match="postgresql://user:password@host:port/database"):
        databases.connect(url)


def test_migrations_by_many_at_once_end_with_one_schema(database):
    url, ready = database("migrated"), threading.Barrier(6)

    def start(_):
        ready.wait()
        databases.migrate(url)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(start, range(6)))
    databases.migrate(url)
    inspected = sa.inspect(databases.engine(url))
    assert set(inspected.get_table_names()) == {"ledger", "work", "request_log", "feedback", "api_key", "evergreen_version"}
    assert [index["column_names"] for index in inspected.get_indexes("request_log")] == [["problem", "served_at"]]


def test_sqlite_works_and_a_wrong_path_is_for_a_person(tmp_path):
    databases.migrate(f"sqlite:///{tmp_path}/state.db")
    databases.migrate(f"sqlite:///{tmp_path}/state.db")
    with pytest.raises(ConfigError, match="cannot be opened"):
        databases.migrate(f"sqlite:///{tmp_path}/nowhere/state.db")


def test_a_request_log_that_was_never_made_is_told_in_a_sentence(database):
    with pytest.raises(ConfigError, match="has no request log yet"):
        requests.find(database("empty"), "flights", "any")
