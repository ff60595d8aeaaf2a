"""From a bad row in production to its release by the command line, on real flights, PostgreSQL, the real suite and tables."""

import json
import shutil
import threading
from contextlib import closing

import psycopg2
import pytest
from typer.testing import CliRunner

from ml import ingest, marks, quarantine, validate
from ml.cli.app import app
from ml.context import open_run
from ml.errors import EvergreenError
from ml.records import Ingested, Validated
from ml.settings import PROJECT
from ml.window import Window
from tests.integration.flights_kit import restore

JANUARY = Window.parse("2013-01-01/2013-02-01")
LAST = "2013-01-31"


@pytest.fixture
def home(home, production, monkeypatch):
    """As in conftest, with a suite that may be changed, and 40 bad rows of two days in production."""
    shutil.copytree(PROJECT / "expectations", home / "expectations")
    monkeypatch.setenv("EVERGREEN_EXPECTATIONS", str(home / "expectations"))
    restore(production)
    execute(production, f"UPDATE flights SET distance = 7000 WHERE flight_id IN ({some(30, LAST)})")
    execute(production, f"UPDATE flights SET distance = -1 WHERE flight_id IN ({some(10, '2013-01-30')})")
    return home


def some(number: int, day: str) -> str:
    return f"SELECT flight_id FROM flights WHERE flight_id LIKE '{day}%' ORDER BY flight_id LIMIT {number}"


def execute(url: str, statement: str) -> None:
    with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(statement)


def night(key: str, **options):
    """Ingest and validate, as a run of Airflow does."""
    context = open_run("flights", key, **options)
    ingested = ingest.run(context)
    validate.run(context)
    return context, ingested


def ml(*arguments: str):
    """The value that a command prints with --json."""
    shown = CliRunner().invoke(app, [*arguments, "--problem", "flights", "--json"], catch_exceptions=False)
    assert shown.exit_code == 0, shown.output
    return json.loads(shown.stdout)


def mend_the_suite(home) -> None:
    path = home / "expectations" / "flights.raw.json"
    path.write_text(path.read_text().replace('"max_value": 6000', '"max_value": 8000'))


def reconciled(context) -> dict[str, int]:
    """Rows of January per table, which add up."""
    told = {name: context.table(name).read(JANUARY, columns=["flight_id"]).num_rows for name in ("raw", "valid", "quarantine")}
    assert told["valid"] + told["quarantine"] == told["raw"] > 20_000
    return told


def test_after_the_suite_was_mended_rows_go_into_their_day_and_the_next_night_learns_from_them(home):
    context, ingested = night("night", reason="schedule")
    before, validated = reconciled(context), context.record(Validated)
    assert before["quarantine"] == validated.num_quarantined >= 40
    listed = [line for line in ml("quarantine", "list", "--rule", "distance") if line["rows"] >= 10]
    assert [(line["day"], line["rows"], line["open"]) for line in listed] == [(LAST, 30, 30), ("2013-01-30", 10, 10)]
    assert all("max_value=6000" in line["rule"] and 0.005 < line["share"] < 0.05 for line in listed)
    marks.mark_learned(context, ingested.version, validated.version)  # as register does at the end of a real night
    quiet, again = night("quiet", reason="schedule")
    assert "exactly those that the last verdict was about" in str(ingest.nothing_new(again, quiet))

    mend_the_suite(home)
    told = ml("quarantine", "release", "--rule", "distance", "--why", "non-stop to Singapore")
    assert sorted({(one["outcome"], one["day"]) for one in told}) == [("released", LAST), ("still bad", "2013-01-30")]
    assert reconciled(context) == before | {"valid": before["valid"] + 30, "quarantine": before["quarantine"] - 30}
    learning, third = night("third", reason="schedule")
    assert ingest.nothing_new(third, learning) is None
    assert reconciled(context)["quarantine"] == before["quarantine"] - 30  # judged anew by the night, with the same outcome


def test_a_mended_source_needs_no_release_but_its_rows_can_be_shown_before(home, production):
    context, _ = night("night")
    row = ml("quarantine", "list", "--rows", "--window", "2013-01-30")[0]
    (story,) = ml("quarantine", "show", "--row", row["row"])
    assert story["values"]["distance"] == -1
    assert "no scheduled passenger flight is shorter" in story["rules"][0]["why"]
    execute(production, "UPDATE flights SET distance = 500 WHERE distance = -1")
    night("again")
    assert ml("quarantine", "list", "--rows", "--window", "2013-01-30") == []
    reconciled(context)


def test_a_source_that_was_mended_and_only_ingested_is_released_by_key(home, production):
    context, _ = night("night")
    row = ml("quarantine", "list", "--rows", "--window", "2013-01-30")[0]
    execute(production, f"UPDATE flights SET distance = 500 WHERE flight_id = '{row['key']}'")
    ingest.run(open_run("flights", "one-day", window="2013-01-30"))
    told = ml("quarantine", "release", "--key", row["key"])
    assert [one["outcome"] for one in told] == ["released"]
    reconciled(context)


def test_discarded_rows_are_no_longer_open_also_after_the_look_back_of_a_later_night(home):
    context, _ = night("night")
    ml("quarantine", "discard", "--day", LAST, "--why", "a test of the booking system")
    night("later", window="2013-01-28/2013-02-01")
    assert [line["day"] for line in ml("quarantine", "list", "--rule", "distance") if line["open"] >= 10] == ["2013-01-30"]
    everything = ml("quarantine", "list", "--all", "--rule", "distance", "--window", LAST)
    assert [(line["open"], line["discarded"]) for line in everything] == [(0, 30)]
    (story, *_) = ml("quarantine", "show", "--day", LAST)
    assert [(one["decision"], one["why"]) for one in story["history"]] == [("discard", "a test of the booking system")]
    reconciled(context)


def test_a_release_beside_running_nights_loses_no_row(home):
    """Two threads write the same days again and again; whoever is overtaken begins anew, and the end adds up."""
    context, _ = night("night")
    expected = reconciled(context)["quarantine"] - 30
    mend_the_suite(home)
    failures: list[str] = []

    def nights() -> None:
        for number in range(3):
            try:
                night(f"beside-{number}", window="2013-01-30/2013-02-01")
            except EvergreenError as error:  # Airflow tries a TransientError again
                failures.append(str(error))

    beside = threading.Thread(target=nights)
    beside.start()
    asked = quarantine.Asked("release", "tests", "race")
    for _ in range(4):
        try:
            quarantine.release(context, quarantine.Choice(), asked, judge=lambda rows: validate.broken_by(context, rows))
        except EvergreenError as error:
            failures.append(str(error))
    beside.join()
    night("after", window="2013-01-30/2013-02-01")
    assert reconciled(context)["quarantine"] == expected
    assert all("Try again" in one or "Start over" in one or "validated since" in one or "adds up" in one for one in failures), (
        failures
    )


@pytest.mark.parametrize(
    "command", [("release", "--day", "2013-01-31", "--window", "2013-01-31"), ("discard", "--why", "x"), ("show",)]
)
def test_wrong_usage_is_told(home, command):
    shown = CliRunner().invoke(app, ["quarantine", *command, "--problem", "flights"])
    assert shown.exit_code == 2


def test_an_empty_quarantine_is_told(home):
    assert "the quarantine is empty" in CliRunner().invoke(app, ["quarantine", "list", "--problem", "flights"]).output


def test_the_record_of_the_night_stays_what_it_was(home):
    context, _ = night("night")
    before = context.record(Validated)
    mend_the_suite(home)
    ml("quarantine", "release")
    assert (context.record(Validated), context.record(Ingested).window) == (before, JANUARY)
