"""Reading production for real: what comes over, and what each kind of trouble is called."""

from contextlib import closing
from datetime import UTC, datetime
from urllib.parse import quote

import psycopg2
import pyarrow as pa
import pytest

from ml import problem as problems
from ml import source
from ml.embedded.postgres import READER
from ml.embedded.processes import free_port
from ml.errors import ConfigError, DataError, TransientError
from ml.settings import PROJECT
from ml.window import Window

WINDOW, NOW = Window.parse("2013-01-05"), datetime(2013, 1, 6, 8, tzinfo=UTC)
FLIGHTS = problems.load("flights", PROJECT / "ml" / "problems")
PROBLEM = FLIGHTS.model_copy(update={"features": {name: FLIGHTS.features[name] for name in ("carrier", "distance", "sched_dep")}})
TABLE = """
    CREATE TABLE flights (flight_id text, sched_dep timestamptz, late_15 boolean, outcome_at timestamptz,
                          available_at timestamptz, carrier text, distance double precision);
    GRANT SELECT ON flights TO evergreen_reader;
    INSERT INTO flights VALUES
      ('a', '2013-01-05 00:00 America/New_York', true,  '2013-01-06 02:00 America/New_York', '2013-01-04 22:00-05', 'UA', 100),
      ('b', '2013-01-05 23:59 America/New_York', true,  '2013-01-06 12:00 America/New_York', '2013-01-05 21:00-05', '',   200),
      ('c', '2013-01-06 00:00 America/New_York', NULL,  NULL,                                '2013-01-05 22:00-05', 'AA', 300),
      ('d', '2013-01-05 12:00 America/New_York', NULL,  NULL,                                '2013-02-01 00:00-05', 'AA', 300),
      ('e', '2013-01-05 13:00 America/New_York', false, '2013-01-06 02:00 America/New_York', '2013-01-05 11:00-05', NULL, NULL),
      ('f', NULL,                                NULL,  NULL,                                '2013-01-05 11:00-05',
       E'quo"te,\nline', 'NaN'),
      ('g', '2013-01-05 14:00 America/New_York', NULL,  NULL,                                NULL, 'AA', 300);
"""


@pytest.fixture
def production(database):
    url = database("source")
    run(url, TABLE)
    return url


def run(url: str, statement: str) -> None:
    with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(statement)


def read(url: str, problem: problems.Problem = PROBLEM, **options) -> pa.Table:
    with source.read(url, problem, WINDOW, now=NOW, **options) as rows:
        return pa.Table.from_batches(rows.batches, rows.schema)


def test_rows_of_the_window_known_now_come_over_exactly(production):
    rows = read(production).sort_by("flight_id").to_pylist()
    assert [row["flight_id"] for row in rows] == ["a", "b", "e", "f", "g"]  # c is tomorrow's, d is not known yet
    assert {row["_day"] for row in rows} == {"2013-01-05"}
    assert [row["carrier"] for row in rows] == ["UA", "", None, 'quo"te,\nline', "AA"]  # NULL and '' stay apart
    assert rows[0]["sched_dep"] == datetime(2013, 1, 5, 5, tzinfo=UTC)


def test_labels_that_came_later_are_not_seen(production):
    labels = {row["flight_id"]: row["late_15"] for row in read(production).to_pylist()}
    assert labels == {"a": True, "b": None, "e": False, "f": None, "g": None}


def test_the_reading_role_needs_select_only(production, postgres):
    assert read(postgres.url(production.rsplit("/", 1)[1], user=READER)).num_rows == 5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("ALTER TABLE flights RENAME TO departures", r"no table 'flights'.*It has \['public.departures'"),
        ("ALTER TABLE flights RENAME carrier TO carriers", r"no column 'carrier'.*Was it renamed to 'carriers'\?"),
        ("ALTER TABLE flights ALTER distance TYPE text", r"Column 'distance' of table flights is text.*says number"),
        ("ALTER TABLE flights ALTER late_15 TYPE int USING late_15::int", r"Column 'late_15'.*is integer"),
        (
            "UPDATE flights SET sched_dep = NULL, available_at = NULL WHERE flight_id = 'a'",
            r"1 rows of table flights have no sched_dep",
        ),
    ],
    ids=["table", "column", "type", "label", "timeless"],
)
def test_a_table_that_changed_is_told_before_anything_is_written(production, change, message):
    run(production, change)
    with pytest.raises(DataError, match=message):
        read(production)


def test_an_empty_table_is_an_empty_batch_with_the_right_types(production):
    run(production, "TRUNCATE flights")
    rows = read(production)
    assert rows.num_rows == 0
    assert rows.schema.field("sched_dep").type == source.ARROW["datetime"]


def test_wrong_password_and_missing_grant_are_not_worth_a_retry(production, postgres):
    with pytest.raises(ConfigError, match="password") as told:
        read(production.replace("for-tests", "wrong-secret"))
    assert "wrong-secret" not in str(told.value)
    run(production, "REVOKE SELECT ON flights FROM evergreen_reader")
    with pytest.raises((ConfigError, DataError), match="flights"):
        read(postgres.url(production.rsplit("/", 1)[1], user=READER))


def test_a_password_of_any_signs_is_taken_and_never_told(production, postgres):
    password = "a b%20@:/?#+'\\é"
    run(postgres.url("postgres", user="postgres"), f"ALTER ROLE {READER} PASSWORD $${password}$$")
    address = f"postgresql://{READER}:{{}}@127.0.0.1:{postgres.port}/{production.rsplit('/', 1)[1]}"
    try:
        assert read(address.format(quote(password, safe=""))).num_rows == 5
    finally:
        run(postgres.url("postgres", user="postgres"), f"ALTER ROLE {READER} PASSWORD '{postgres.passwords[READER]}'")
    for written in ("hunter2@hunter2", "hunter2@hunter2:hunter2"):
        with pytest.raises(ConfigError, match="%40") as caught:
            read(address.format(written))
        assert "hunter2" not in f"{caught.value} {caught.value.__context__}"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("?options=-c%20statement_timeout%3D30000&application_name=ever%20green&sslmode=prefer", ""),
        ("?host=127.0.0.1,127.0.0.1&port={away},{port}", ""),
        ("?sslmod=prefer", "sslmod"),
    ],
    ids=["blanks", "two hosts", "no such option"],
)
def test_options_of_the_address_reach_every_connection(production, postgres, options, message):
    place = "" if "host" in options else f"127.0.0.1:{postgres.port}"
    address = f"postgresql://{READER}:for-tests@{place}/" + production.rsplit("/", 1)[1]
    address += options.format(port=postgres.port, away=free_port(0))
    if message:
        with pytest.raises(ConfigError, match=message):
            read(address)
    else:
        assert read(address).num_rows == 5


@pytest.mark.parametrize("end", ["one:5432,other:5432/production", "one:port/production"])
def test_an_address_that_is_none_is_for_a_person_and_is_not_repeated(end):
    with pytest.raises(ConfigError, match="cannot be read") as caught:
        read(f"postgresql://me:hunter2@{end}")
    assert "hunter2" not in f"{caught.value} {caught.value.__context__}"


def test_a_database_that_is_away_is_worth_a_retry(production, postgres):
    with pytest.raises(TransientError, match=r"127\.0\.0\.1"):
        read(production.replace(str(postgres.port), "1"))


@pytest.mark.parametrize(
    ("kind", "written", "expected"),
    [
        ("real", "0.1", 0.1),
        ("numeric", "12.34", 12.34),
        ("numeric", "'NaN'", float("nan")),
        ("bigint", "9007199254740993", 9007199254740992.0),
        ("smallint", "-3", -3.0),
        ("double precision", "'-Infinity'", float("-inf")),
    ],
)
def test_a_number_is_what_it_is_written_as_whatever_its_type(production, kind, written, expected):
    run(production, f"ALTER TABLE flights ALTER distance TYPE {kind} USING {written}")
    (found,) = set(map(repr, read(production)["distance"].to_pylist()))
    assert found == repr(expected)


def test_a_category_may_be_a_number_or_a_yes_at_the_source(production):
    run(production, "ALTER TABLE flights ALTER carrier TYPE boolean USING true")
    assert set(read(production)["carrier"].to_pylist()) == {"true"}
    run(production, "ALTER TABLE flights ALTER carrier TYPE numeric USING 1.50")
    assert set(read(production)["carrier"].to_pylist()) == {"1.50"}
