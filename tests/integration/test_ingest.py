"""The whole of ingest on a real table: several streams, one moment, deletes, versions of rows, late rows, kills, memory."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing
from datetime import UTC, date, datetime

import psycopg2
import pyarrow as pa
import pytest
import sqlalchemy as sa
from psycopg2.extensions import parse_dsn

from ml import database as databases
from ml import erase, ingest, marks, source
from ml.context import open_run
from ml.embedded.processes import free_port
from ml.errors import DataError, TransientError
from ml.ledger import Champion
from ml.problem import Problem
from ml.settings import PROJECT
from ml.source import copies, postgres, streams
from ml.source.query import Query
from ml.tables import commit
from ml.window import Window
from tests.integration.flights_kit import NEXT, NIGHT

ZONE = "America/New_York"
JANUARY = Window.parse("2013-01-01/2013-02-01")
NOW = datetime.fromisoformat(NIGHT)
MANY = 240_000
OTHERS = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
FILL = """
    INSERT INTO visits SELECT 'v' || lpad(n::text, 8, '0'), timestamptz '2013-01-01 05:00+00' + n * interval '31 days' / {rows},
        n % 3 = 0, timestamptz '2013-01-31 00:00+00', timestamptz '2013-01-01 05:00+00', md5(n::text), n::float8 / 7
    FROM generate_series(0, {rows} - 1) n
"""
TABLE = """
    CREATE TABLE visits (id text, at timestamptz, came boolean, came_at timestamptz, known_at timestamptz, who text,
                         amount double precision, gone boolean DEFAULT false, changed_at timestamptz);
    GRANT SELECT ON visits TO evergreen_reader;
"""


def problem(**changes: object) -> Problem:
    about = {"table": "visits", "key": "id", "event_time": "at", "label": "came", "label_time": "came_at"}
    return Problem.model_validate(
        {
            "problem": {"name": "visits", "title": "Who comes?", "task": "binary", "owner": "tests"},
            "source": {**about, "available_at": "known_at", "timezone": ZONE, **changes},
            "contract": {"minimum_rows": 100},
            "features": {"who": {"type": "category"}, "amount": {"type": "number"}},
        }
    )


def execute(url: str, *statements: str) -> None:
    with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


@pytest.fixture(scope="module")
def many(database):
    """Enough rows of January for four streams; nobody changes them for good."""
    url = database("visits")
    execute(url, TABLE, FILL.format(rows=MANY), "ANALYZE visits")
    return url


@pytest.fixture
def few(database):
    """310 rows, ten a day."""
    url = database("visits")
    execute(url, TABLE, FILL.format(rows=310))
    return url


@pytest.fixture
def production(few):
    """The small table is what a night reads."""
    return few


@pytest.fixture
def home(home, monkeypatch):
    """As in conftest, with a problem file for the small table."""
    write_problem(home)
    monkeypatch.setenv("EVERGREEN_PROBLEMS", str(home))
    return home


def write_problem(home, **changes: object) -> None:
    content = problem(**changes).model_dump(exclude_defaults=True, mode="json")
    lines = [f"[{section}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in about.items())
             for section, about in content.items() if section != "features"]  # fmt: skip
    features = "".join(f'{name} = {{ type = "{about["type"]}" }}\n' for name, about in content["features"].items())
    (home / "visits.toml").write_text("\n".join([*lines, f"[features]\n{features}"]))


def night(key: str = "night", **options):
    return open_run("visits", key, **options)


def read(url: str, about: Problem, window: Window = JANUARY, **options) -> pa.Table:
    with source.read(url, about, window, now=NOW, **options) as rows:
        return pa.Table.from_batches(rows.batches, rows.schema)


def parts(url: str, about: Problem, window: Window = JANUARY) -> list[str]:
    """The statements that are sent, one per stream."""
    with closing(databases.connect(url)) as connection, connection.cursor() as cursor:
        types = postgres._catalog(connection, "visits")
        query = Query(about, source.columns(about), types, window.instants(ZONE), NOW)
        return [part.as_string(connection) for part in postgres._parts(cursor, query)]


def streams_alive() -> int:
    return sum(thread.name == "source-stream" for thread in threading.enumerate())


@pytest.mark.parametrize("num_streams", [2, 3, 4])
def test_several_streams_bring_exactly_what_one_brings_in_the_same_order_every_time(many, num_streams):
    one = read(many, problem(streams=1))
    about = problem(streams=num_streams)
    assert len(parts(many, about)) == num_streams
    assert all("ctid" in part for part in parts(many, about))
    several = read(many, about)
    assert several.sort_by("id").equals(one.sort_by("id"))
    assert several.num_rows == MANY
    assert read(many, about).equals(several)


def test_where_an_index_finds_the_rows_the_window_is_cut_in_time(many):
    """Ten days of thirty-one by an index: no page of the others is read."""
    about, tenth = problem(streams=2), Window.parse("2013-01-05/2013-01-25")
    one = read(many, problem(streams=1), tenth)
    try:
        execute(
            many,
            "CREATE INDEX visits_at ON visits (at)",
            "ALTER DATABASE " + many.rsplit("/", 1)[1] + " SET enable_seqscan = off",
        )
        assert len(parts(many, about, tenth)) == 2
        assert not any("ctid" in part for part in parts(many, about, tenth))
        assert read(many, about, tenth).sort_by("id").equals(one.sort_by("id"))
    finally:
        execute(many, "DROP INDEX visits_at", "ALTER DATABASE " + many.rsplit("/", 1)[1] + " RESET enable_seqscan")


def test_a_view_and_a_small_window_take_one_stream(many):
    assert len(parts(many, problem(streams=4), Window.parse("2013-01-05"))) == 1
    execute(many, "CREATE OR REPLACE VIEW seen AS SELECT * FROM visits")
    assert len(parts(many, problem(streams=4, table="seen"))) == 1
    assert read(many, problem(streams=4, table="seen")).num_rows == MANY


def test_a_materialised_view_is_read_as_the_table_it_is(many):
    execute(many, "CREATE MATERIALIZED VIEW kept AS SELECT * FROM visits", "ANALYZE kept")
    about = problem(streams=2, table="kept")
    with source.read(many, about, JANUARY, now=NOW) as rows, source.read(many, problem(), JANUARY, now=NOW) as table:
        assert rows.types == table.types
    assert read(many, about).num_rows == MANY
    with pytest.raises(DataError, match=r"did you mean 'public\.kept'"):
        read(many, problem(table="keept"))


def test_a_table_without_a_schema_is_that_of_public_whatever_the_role_searches_first(few):
    execute(
        few,
        "CREATE SCHEMA app",
        "CREATE TABLE app.visits AS SELECT * FROM public.visits LIMIT 7",
        f"ALTER ROLE CURRENT_USER IN DATABASE {few.rsplit('/', 1)[1]} SET search_path = app",
    )
    assert read(few, problem()).num_rows == 310
    assert read(few, problem(table="app.visits")).num_rows == 7


def test_streams_go_where_the_leader_got_through(few, monkeypatch):
    """Only that server has its snapshot; and a socket's default folder is another one in each library."""
    address, seen = sa.make_url(few), []
    begin = copies.Copy.__init__

    def watched(self, url, *more):
        seen.append(parse_dsn(url))
        begin(self, url, *more)

    monkeypatch.setattr(copies.Copy, "__init__", watched)
    hosts = {"host": "127.0.0.1,127.0.0.1", "port": f"{free_port(0)},{address.port}"}
    several = address.set(host=None, port=None, query=hosts).render_as_string(hide_password=False)
    assert read(several, problem()).num_rows == 310
    assert {(one["host"], one["port"]) for one in seen} == {("127.0.0.1", str(address.port))}


def test_all_streams_see_one_moment_while_another_session_writes(many):
    """Rows are moved from the end of the table to its beginning and back: a reader of two moments would see some twice or not."""
    stop = threading.Event()

    def rewrite() -> None:
        with closing(psycopg2.connect(many)) as connection:
            while not stop.is_set():
                with connection, connection.cursor() as cursor:
                    cursor.execute("UPDATE visits SET amount = -amount WHERE id < 'v00020000'")
                    cursor.execute("UPDATE visits SET amount = -amount WHERE id >= 'v00220000'")

    writer = threading.Thread(target=rewrite)
    writer.start()
    try:
        for _ in range(5):
            rows = read(many, problem(streams=4)).sort_by("id")
            assert rows.num_rows == len(set(rows["id"].to_pylist())) == MANY
            signs = {rows["amount"][1].as_py() < 0, rows["amount"][-1].as_py() < 0}
            assert len(signs) == 1  # both updates of a transaction, or neither
    finally:
        stop.set()
        writer.join()
        execute(many, "UPDATE visits SET amount = abs(amount)")


def test_a_reader_that_stops_early_leaves_no_thread_and_no_query_behind(many):
    about = problem(streams=4)
    with source.read(many, about, JANUARY, now=NOW) as rows:
        assert next(iter(rows.batches)).num_rows > 0
        assert streams_alive() > 0
    assert streams_alive() == 0
    with closing(psycopg2.connect(many)) as connection, connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) {OTHERS} AND query LIKE 'COPY%' AND state = 'active'")
        assert cursor.fetchone() == (0,)


def test_an_error_in_one_stream_ends_all_of_them_and_is_told_in_our_words(many):
    execute(many, "INSERT INTO visits (id, at, came_at) VALUES ('bad', '2013-01-31 00:00+00', '0044-03-15 BC')")
    try:
        with pytest.raises(DataError, match=r"Column 'came_at' of table visits holds a time outside the years 1 to 9999.*'bad'"):
            read(many, problem(streams=4, available_at=None))
    finally:
        execute(many, "DELETE FROM visits WHERE id = 'bad'")
    assert streams_alive() == 0


def test_a_server_that_goes_away_in_the_middle_is_worth_a_retry(many):
    with pytest.raises(TransientError), source.read(many, problem(streams=2), JANUARY, now=NOW) as rows:
        for _ in rows.batches:
            execute(many, f"SELECT pg_terminate_backend(pid) {OTHERS}")
    assert streams_alive() == 0


@pytest.mark.parametrize(
    ("code", "kind"),
    [("40001", TransientError), ("57014", TransientError), ("53400", TransientError), ("55000", DataError), ("22012", DataError)],
    ids=["standby conflict", "cancelled", "no room for files", "wrong state", "divides by zero"],
)
def test_what_stops_a_copy_is_worth_a_retry_or_not_by_its_code(few, code, kind):
    execute(
        few,
        "CREATE FUNCTION broken(n float8) RETURNS float8 LANGUAGE plpgsql AS"
        f" $$ BEGIN RAISE EXCEPTION 'no more' USING ERRCODE = '{code}'; END $$",
        "CREATE VIEW failing AS SELECT id, at, came, came_at, known_at, who, broken(amount) AS amount FROM visits",
    )
    with pytest.raises(kind, match="no more"):
        read(few, problem(table="failing"))


def test_a_limit_of_the_role_does_not_end_a_long_copy(few):
    name = few.rsplit("/", 1)[1]
    execute(
        few,
        f"ALTER ROLE CURRENT_USER IN DATABASE {name} SET statement_timeout = '300ms'",
        f"ALTER ROLE CURRENT_USER IN DATABASE {name} SET idle_in_transaction_session_timeout = '300ms'",
        "CREATE VIEW slow AS SELECT id, at, came, came_at, known_at, who, amount FROM visits, pg_sleep(0.8)",
    )
    assert read(few, problem(table="slow")).num_rows == 310


def test_a_change_of_the_table_between_two_connections_is_not_waited_for_without_end(few, monkeypatch):
    """The leader's lock stops the change, the change stops the streams, and nobody but us could know."""
    asked, begin = threading.Event(), copies.Copy.batches

    def alter() -> None:
        asked.set()
        execute(few, "ALTER TABLE visits ADD COLUMN more text")

    changer = threading.Thread(target=alter)

    def late(self):
        changer.start()
        asked.wait()
        with closing(psycopg2.connect(few)) as connection, connection.cursor() as cursor:
            waiting = False
            while not waiting:
                connection.rollback()
                cursor.execute("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)")
                (waiting,) = cursor.fetchone() or (False,)
        yield from begin(self)

    monkeypatch.setattr(copies.Copy, "batches", late)
    monkeypatch.setattr(copies, "SESSION", (*copies.SESSION, "SET lock_timeout = '1s'"))
    with pytest.raises(TransientError, match="lock timeout"):
        read(few, problem())
    changer.join(timeout=10)
    assert not changer.is_alive()


def test_a_stop_before_a_copy_began_ends_it_too(few, monkeypatch):
    execute(few, "CREATE VIEW slow AS SELECT id, at, came, came_at, known_at, who, amount FROM visits, pg_sleep(60)")
    monkeypatch.setattr(streams.Stream, "next", lambda self: (_ for _ in ()).throw(KeyboardInterrupt))
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt), source.read(few, problem(table="slow"), JANUARY, now=NOW) as rows:
        next(iter(rows.batches))
    assert (streams_alive(), time.monotonic() - started < 15) == (0, True)


def test_a_cell_larger_than_a_block_comes_over_whole(few):
    huge = 3 * copies.BYTES
    execute(few, f"UPDATE visits SET who = repeat('lang ', {huge // 5}) WHERE id = 'v00000007'")
    rows = read(few, problem())
    assert rows.num_rows == 310
    assert len(rows.sort_by("id")["who"][7].as_py()) == huge // 5 * 5


@pytest.mark.parametrize(
    ("kind", "mark"),
    [
        ("boolean", "true"),
        ("timestamptz", "'2013-01-20 12:00+00'"),
        ("date", "'2013-01-20'"),
        ("timestamp", "'2013-01-20 12:00'"),
    ],
)
def test_rows_that_the_source_marks_as_deleted_are_left_out_and_counted(few, kind, mark):
    execute(few, f"ALTER TABLE visits ADD COLUMN deleted {kind}", f"UPDATE visits SET deleted = {mark} WHERE id < 'v00000005'")
    with source.read(few, problem(deleted="deleted"), JANUARY, now=NOW) as rows:
        table = pa.Table.from_batches(rows.batches, rows.schema)
    assert (table.num_rows, rows.num_deleted) == (305, 5)
    assert "deleted" not in table.column_names


def test_a_deletion_that_is_yet_to_come_is_not_known(few):
    execute(few, "ALTER TABLE visits ADD COLUMN deleted timestamptz", "UPDATE visits SET deleted = '2014-01-01'")
    assert read(few, problem(deleted="deleted")).num_rows == 310


def test_of_several_versions_of_a_row_the_newest_counts(few):
    copy = "INSERT INTO visits SELECT id, at, came, came_at, known_at, {who}, amount, {gone}, {changed} FROM visits"
    copy += " WHERE id = '{id}'"
    execute(
        few,
        "UPDATE visits SET changed_at = '2013-01-10'",
        copy.format(who="'newer'", gone="false", changed="'2013-01-11'", id="v00000003"),
        copy.format(who="'older'", gone="false", changed="NULL", id="v00000004"),
        copy.format(who="who", gone="true", changed="'2013-01-12'", id="v00000005"),
        "INSERT INTO visits (id, at, known_at) VALUES (NULL, '2013-01-15', '2013-01-15'), (NULL, '2013-01-15', '2013-01-15')",
    )
    with source.read(few, problem(updated_at="changed_at", deleted="gone"), JANUARY, now=NOW) as rows:
        found = pa.Table.from_batches(rows.batches, rows.schema).to_pylist()
    who = {row["id"]: row["who"] for row in found}
    assert (len(found), rows.num_deleted) == (309 + 2, 1)  # the newest version of one says deleted; rows without a key stay
    assert who["v00000003"] == "newer"
    assert who["v00000004"] not in ("older", None)
    assert "v00000005" not in who


def test_times_without_zone_and_dates_are_local_to_the_problem_also_when_clocks_change(few):
    execute(
        few,
        "TRUNCATE visits", "ALTER TABLE visits ALTER at TYPE timestamp, ALTER known_at TYPE date",
        "INSERT INTO visits (id, at, known_at) VALUES ('a', '2013-03-10 00:00', '2013-03-09'),"
        " ('b', '2013-03-10 23:59:59.999999', '2013-03-09'), ('c', '2013-03-11 00:00', '2013-03-09'),"
        " ('d', '2013-11-03 23:30', '2013-03-09'), ('e', NULL, '2013-03-10')",
    )  # fmt: skip
    later = datetime(2013, 12, 1, tzinfo=UTC)
    with source.read(few, problem(), Window.parse("2013-03-10/2013-12-01"), now=later) as rows:
        found = {row["id"]: row for row in pa.Table.from_batches(rows.batches, rows.schema).to_pylist()}
    days = {key: row["_day"] for key, row in found.items()}
    assert days == {"a": "2013-03-10", "b": "2013-03-10", "c": "2013-03-11", "d": "2013-11-03", "e": "2013-03-10"}
    assert found["a"]["at"] == datetime(2013, 3, 10, 5, tzinfo=UTC)
    assert found["d"]["at"] == datetime(2013, 11, 4, 4, 30, tzinfo=UTC)
    assert found["e"]["known_at"] == datetime(2013, 3, 10, 5, tzinfo=UTC)


def test_a_role_that_may_only_see_the_columns_is_enough(many, postgres):
    execute(many, "REVOKE SELECT ON visits FROM evergreen_reader")
    columns = "id, at, came, came_at, known_at, who, amount"
    execute(many, f"GRANT SELECT ({columns}) ON visits TO evergreen_reader")
    try:
        url = postgres.url(many.rsplit("/", 1)[1], user="evergreen_reader")
        assert not any("ctid" in part for part in parts(url, problem(streams=2)))  # a place in the table is a column too
        assert read(url, problem(streams=2)).num_rows == MANY
    finally:
        execute(many, "GRANT SELECT ON visits TO evergreen_reader")


def test_types_of_all_columns_are_told_in_the_tables_order_before_a_row_is_read(few):
    execute(few, "ALTER TABLE visits DROP COLUMN amount, ADD COLUMN more integer[]")
    with source.read(few, problem(), JANUARY, now=NOW) as rows:
        assert list(rows.types) == ["id", "at", "came", "came_at", "known_at", "who", "gone", "changed_at", "more"]
        assert rows.types["at"] == "timestamp with time zone"
        with pytest.raises(DataError, match="no column 'amount'"):
            next(iter(rows.batches))


def test_a_night_that_reads_the_same_rows_makes_no_version_and_a_changed_day_makes_one(home, few):
    first = ingest.run(night())
    assert (first.num_rows, first.version, len(first.days_changed)) == (310, 0, 31)
    assert first.num_rows_by_day == {str(day): 10 for day in JANUARY}
    again = ingest.run(night("again", window=str(JANUARY)))
    assert (again.num_rows, again.version, again.days_changed) == (310, 0, ())
    execute(few, "UPDATE visits SET amount = 1 WHERE id = 'v00000000'", "DELETE FROM visits WHERE id = 'v00000309'")
    changed = ingest.run(night("changed", window=str(JANUARY)))
    assert (changed.num_rows, changed.version) == (309, 1)
    assert changed.days_changed == (date(2013, 1, 1), date(2013, 1, 31))
    assert night().table("raw").history()[0].note == {"run_key": "changed", "stage": "ingest"}


def test_days_the_source_no_longer_has_are_emptied_but_an_empty_source_changes_nothing(home, few):
    ingest.run(night())
    execute(few, "DELETE FROM visits WHERE at >= '2013-01-10 05:00+00' AND at < '2013-01-11 05:00+00'")
    assert ingest.run(night("gap", window=str(JANUARY))).days_changed == (date(2013, 1, 10),)
    raw = night().table("raw")
    assert date(2013, 1, 10) not in raw.days()
    execute(few, "DELETE FROM visits")
    nothing = ingest.run(night("nothing", window=str(JANUARY)))
    assert (nothing.num_rows, nothing.version, len(raw.days())) == (0, 1, 30)


def test_deletes_that_the_source_marks_reach_the_table_even_when_they_are_all_rows(home, few):
    ingest.run(night())
    write_problem(home, deleted="gone")
    execute(few, "UPDATE visits SET gone = true WHERE at < '2013-01-03 05:00+00'")
    both = Window.parse("2013-01-01/2013-01-03")
    deleted = ingest.run(night("deleted", window=str(both)))
    assert (deleted.num_rows, deleted.num_deleted) == (0, 20)
    assert night().table("raw").num_rows(JANUARY) == {str(day): 10 for day in list(JANUARY)[2:]}


def test_rows_that_came_too_late_for_every_night_are_counted_with_the_way_to_fetch_them(home, few, caplog):
    first = ingest.run(night(reason="schedule"))
    marks.mark_validated(night(), first.window)
    assert first.num_late == 0
    execute(
        few,
        "INSERT INTO visits (id, at, known_at) VALUES ('late', '2013-01-07 12:00+00', '2013-02-01 20:00+00'),"
        " ('not so late', '2013-01-31 12:00+00', '2013-02-01 20:00+00'), ('not known', '2013-01-07', '2013-03-01'),"
        " ('new', '2013-02-01 12:00+00', '2013-02-01 12:00+00')",
    )
    (home / "clock").write_text(NEXT)
    second = ingest.run(night("next", reason="schedule"))
    assert second.num_late == 1
    assert "the first of 2013-01-07" in caplog.text and "--window 2013-01-07/2013-01-29" in caplog.text
    assert ingest.run(night("next", reason="schedule")).num_late == 1  # cleared and run again: the same record
    third = ingest.run(night("third", reason="schedule"))
    assert third.num_late == 0
    assert ingest.run(night("by-hand", window="2013-01-07/2013-01-29")).num_rows == 10 * 22 + 1


def test_a_source_that_differs_from_its_contract_stops_before_anything_is_committed(home, few):
    ingest.run(night())
    files = sorted((home / "store").rglob("*.parquet"))
    execute(few, "ALTER TABLE visits RENAME COLUMN who TO visitor")
    with pytest.raises(DataError, match=r"who.*visitor|visitor.*who"):
        ingest.run(night("renamed", window=str(JANUARY)))
    execute(few, "ALTER TABLE visits RENAME COLUMN visitor TO who", "UPDATE visits SET amount = amount * 100")
    with pytest.raises(DataError, match="amount"):
        ingest.run(night("cents", window=str(JANUARY)))
    raw = night().table("raw")
    assert raw.version == 0
    assert sorted((home / "store").rglob("*.parquet")) == files
    assert night().store.exists("tables/contract.pending.json")


def test_what_must_not_be_stored_is_redacted_before_it_is_written(home, few):
    execute(few, "UPDATE visits SET who = 'write to jane.roe@example.com' WHERE id = 'v00000002'")
    write_problem(home)
    with (home / "visits.toml").open("a") as file:
        file.write('\n[privacy]\nredact = { who = "text" }\n')
    record = ingest.run(night())
    assert record.num_redacted == {"who": 1}
    rows = night().table("raw").read(JANUARY).to_pylist()
    assert not any("jane.roe" in row["who"] for row in rows)
    assert not any(b"jane.roe" in path.read_bytes() for path in (home / "store").rglob("*") if path.is_file())


def test_somebody_who_is_erased_while_a_commit_compares_does_not_come_back(home, few, monkeypatch):
    ingest.run(night())
    execute(few, "UPDATE visits SET amount = amount + 1")
    compare = commit._compare

    def slowly(*about):
        monkeypatch.setattr(commit, "_compare", compare)
        erase.run(night("erase"), "v00000007", actor="tests", why="T-1")
        return compare(*about)

    monkeypatch.setattr(commit, "_compare", slowly)
    with pytest.raises(TransientError, match="Somebody was erased"):
        ingest.run(night("second", window=str(JANUARY)))
    assert "v00000007" not in night().table("raw").read(JANUARY)["id"].to_pylist()
    assert ingest.run(night("second", window=str(JANUARY))).num_erased == 1


def test_a_dropped_feature_that_the_champion_still_needs_stays_hidden(home, few):
    """Its rule left the problem file with it: one for a column that is no feature is an error there."""
    execute(few, "UPDATE visits SET who = 'write to jane.roe@example.com' WHERE id = 'v00000002'")
    context = night()
    learned = {"features": {"who": {"type": "category"}, "amount": {"type": "number"}}, "redact": {"who": "text"}}
    context.store.write_json("runs/old/model/model.json", learned)
    context.ledger.move("visits", to=Champion(1, "old", "d"), expected=None, kind="promote", key="k", actor="tests")
    file = home / "visits.toml"
    file.write_text(file.read_text().replace('who = { type = "category" }\n', ""))
    assert ingest.run(night()).num_redacted == {"who": 1}
    whos = night().table("raw").read(JANUARY)["who"].to_pylist()
    assert len(whos) == 310 and not any("jane.roe" in who for who in whos)


def test_a_run_killed_before_its_commit_leaves_the_table_as_it_was_and_runs_again(home, few):
    """The process is stopped where everything is staged and nothing committed, and killed there."""
    ingest.run(night())
    execute(few, "UPDATE visits SET amount = amount + 1")
    stop = "from ml import contracts, ingest; import sys, time; from ml.context import open_run\n"
    stop += "contracts.check_values = lambda *_: (print('staged', flush=True), time.sleep(60))\n"
    stop += "ingest.run(open_run('visits', 'killed', window='2013-01-01/2013-02-01'))"
    with subprocess.Popen([sys.executable, "-c", stop], stdout=subprocess.PIPE, cwd=PROJECT) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"staged\n"
        os.kill(process.pid, signal.SIGKILL)
    raw = night().table("raw")
    assert (raw.version, raw.read(JANUARY).sort_by("id")["amount"][0].as_py()) == (0, 0)
    again = ingest.run(night("killed", window=str(JANUARY)))
    assert (again.version, again.num_rows, len(again.days_changed)) == (1, 310, 31)
    assert raw.read(JANUARY).sort_by("id")["amount"][0].as_py() == 1
    assert len(raw.vacuum(keep={0}, older_than_hours=0)) == 31  # what the killed one had staged


# VmHWM and not getrusage, whose peak is inherited from the process that started this one
MEASURE = """
import json
from pathlib import Path
import pyarrow as pa
from ml import ingest
from ml.context import open_run
record = ingest.run(open_run("visits", "night", window="{window}"))
print(json.dumps([record.num_rows, pa.default_memory_pool().max_memory() / 2**20,
                  int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024]))
"""


def test_memory_does_not_grow_with_the_window(home, few, tmp_path):
    """Eight times the days and rows, 200 MB of them, and no more held at once; the process itself stays small too."""
    execute(few, "TRUNCATE visits", FILL.format(rows=1_000_000), "UPDATE visits SET who = repeat(who, 4)", "ANALYZE visits")
    used = []
    for window in ("2013-01-01/2013-01-05", str(JANUARY)):
        place = os.environ | {"EVERGREEN_STORE": str(tmp_path / window[-5:])}
        command = [sys.executable, "-c", MEASURE.format(window=window)]
        told = subprocess.run(command, env=place, capture_output=True, text=True, cwd=PROJECT, check=True)
        used.append(json.loads(told.stdout.splitlines()[-1]))
    (few_rows, few_held, _), (all_rows, all_held, peak) = used
    assert all_rows == 1_000_000 > 7 * few_rows
    assert all_held < few_held + 30 and peak < 450, used


def test_a_row_that_became_known_before_all_time_is_not_lost_without_a_word(few):
    execute(few, "UPDATE visits SET at = NULL, known_at = '-infinity' WHERE id = 'v00000007'")
    with pytest.raises(DataError, match=r"Column 'known_at'.*'v00000007'"):
        read(few, problem())


def test_an_error_names_no_key_that_is_redacted(few):
    about = problem(deleted="gone")
    hidden = about.model_copy(update={"privacy": about.privacy.model_copy(update={"redact": {"id": "hash"}})})
    execute(few, "UPDATE visits SET came_at = '-infinity' WHERE id = 'v00000007'")
    with pytest.raises(DataError, match="Column 'came_at'") as told:
        read(few, hidden)
    assert "v00000007" not in str(told.value)
