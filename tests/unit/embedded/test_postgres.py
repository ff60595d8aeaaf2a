"""The embedded PostgreSQL starts, stops, and comes back after a kill."""

import os
import signal
import stat

import psutil  # type: ignore[import-untyped]
import psycopg2
import pytest

from ml.embedded.postgres import DATABASES, OWNER, READER, Postgres
from ml.embedded.processes import free_port


@pytest.fixture
def server(tmp_path):
    server = Postgres(tmp_path, free_port(0), {"postgres": "a b/c", OWNER: "d@e", READER: "f%g"})
    server.start()
    yield server
    server.stop()


def ask(url, statement):
    connection = psycopg2.connect(url)
    try:
        with connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchone()
    finally:
        connection.close()


def test_every_database_belongs_to_the_owner(server):
    owner = "SELECT current_database(), pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database()"
    assert [ask(server.url(name), owner) for name in DATABASES] == [(name, OWNER) for name in DATABASES]


def test_a_wrong_password_is_refused(server):
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        psycopg2.connect(server.url("production").replace("d%40e", "wrong"))


def test_the_reader_may_not_write(server):
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        ask(server.url("production", user=READER), "CREATE TABLE mine (x int)")


def test_a_power_cut_keeps_what_was_committed(server):
    assert ask(server.url("production"), "SHOW fsync") == ("on",)


def test_starting_twice_keeps_the_server(server):
    pid = server.program.pid
    server.start()
    assert server.program.pid == pid


def test_data_survive_a_restart(server):
    connection = psycopg2.connect(server.url("production"))
    with connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE kept AS SELECT 7 AS x")
    connection.close()
    server.stop()
    assert not server.running
    server.start()
    assert ask(server.url("production"), "SELECT x FROM kept") == (7,)


def test_a_killed_server_starts_again(server):
    family = [psutil.Process(server.program.pid), *psutil.Process(server.program.pid).children()]
    for process in family:
        process.kill()
    psutil.wait_procs(family, timeout=10)
    server.start()
    assert ask(server.url("production"), "SELECT 1") == (1,)


def test_a_lock_whose_number_belongs_to_another_program_is_stale(server):
    server.stop()
    (server.data / "postmaster.pid").write_text(f"{os.getpid()}\n{server.data}\n")
    server.start()
    assert server.running


def test_stopping_leaves_no_process(server):
    leader = psutil.Process(server.program.pid)
    family = [leader, *leader.children()]
    server.stop()
    assert not [process for process in family if process.is_running()]


def test_nobody_else_may_read_the_data(server):
    assert stat.S_IMODE(server.data.parent.stat().st_mode) == 0o700


def test_a_start_that_was_interrupted_while_making_the_data_begins_anew(tmp_path):
    server = Postgres(tmp_path, free_port(0), {"postgres": "a", OWNER: "b", READER: "c"})
    server.data.mkdir(parents=True)
    (server.data / "half").touch()
    server.start()
    try:
        assert server.running
    finally:
        server.program.stop(by=signal.SIGINT, group=False)
