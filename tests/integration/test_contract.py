"""A source that changes under a running pipeline: the night stops before any write, says why, goes on once a person agrees."""

import json
import logging
from contextlib import closing
from datetime import datetime

import psycopg2
import pytest
from typer.testing import CliRunner

from ml import contracts, ingest, samples
from ml.cli.app import app
from ml.context import open_run
from ml.contract import Contract
from ml.errors import DataError, RefusedError
from ml.settings import PROJECT
from tests.integration.flights_kit import NEXT


@pytest.fixture(scope="module")
def kept(database):
    """Flights of January and of the day after, aside."""
    url = database("production")
    samples.load("flights", url)
    samples.advance("flights", url, datetime.fromisoformat(NEXT))
    execute(url, "DROP SCHEMA replay CASCADE", "CREATE SCHEMA kept", "ALTER TABLE flights SET SCHEMA kept")
    return url


@pytest.fixture
def production(kept):
    """A table nobody has changed yet; what only becomes known in the second night is not seen in the first."""
    execute(kept, "DROP TABLE IF EXISTS flights", "CREATE TABLE flights AS TABLE kept.flights")
    return kept


@pytest.fixture
def home(home, monkeypatch):
    """A store in which January was ingested; it is the next night, and the problem file may be changed."""
    (home / "flights.toml").write_text((PROJECT / "ml" / "problems" / "flights.toml").read_text())
    monkeypatch.setenv("EVERGREEN_PROBLEMS", str(home))
    ingest.run(night("first"))
    (home / "clock").write_text(NEXT)
    return home


def night(key="second", **options):
    return open_run("flights", key, reason="schedule", **options)


def execute(url: str, *statements: str) -> None:
    with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def command(*arguments: str):
    group, *rest = arguments
    return CliRunner().invoke(app, ["contract", group, "--problem", "flights", *rest], catch_exceptions=False)


def recorded() -> Contract:
    found = contracts.load(night())
    assert found is not None
    return found


def files(home) -> dict[str, int]:
    return {
        str(path): path.stat().st_mtime_ns
        for path in (home / "store" / "flights" / "tables" / "raw").rglob("*")
        if path.is_file()
    }


CHANGES = {
    "renamed": ("ALTER TABLE flights RENAME tailnum TO tail_number", "tailnum", "tailnum is called tail_number now"),
    "dropped": ("ALTER TABLE flights DROP COLUMN tailnum", "tailnum", "dropped at the source; nothing here uses it"),
    "added": ("ALTER TABLE flights ADD COLUMN gate text", "gate", "added at the source; nothing reads it until"),
    "retyped": ("ALTER TABLE flights ALTER flight TYPE bigint", "flight", "wider or narrower; the values are mostly the same"),
    "units": ("UPDATE flights SET distance = distance * 1.609344", "distance", "kilometres instead of miles"),
    "spelling": ("UPDATE flights SET origin = lower(origin)", "origin", "other letter case: 'EWR' is now 'ewr'"),
    "the clock": ("UPDATE flights SET available_at = available_at - interval '5 hours'", "available_at", "read as UTC"),
    "nulls": ("UPDATE flights SET plane_year = -1 WHERE plane_year IS NULL", "plane_year", "written as '-1'"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_stops_the_night_before_any_write_and_passes_once_accepted(name, home, production):
    statement, column, words = CHANGES[name]
    before, agreed = files(home), recorded()
    execute(production, statement)
    with pytest.raises(DataError) as told:
        ingest.run(night())
    assert words in str(told.value)
    assert "contract accept --problem flights" in str(told.value)
    assert files(home) == before
    assert recorded() == agreed

    seen = command("diff")
    assert (seen.exit_code, words in seen.output) == (1, True)
    assert [one["column"] for one in json.loads(command("diff", "--json").output)] == [column]

    accepted = command("accept", "--why", "release 7")
    assert (accepted.exit_code, column in accepted.output) == (0, True)
    assert command("diff").exit_code == 0
    assert ingest.run(night()).num_rows > 3_000
    assert "release 7" in command("show").output


def test_a_night_like_the_others_keeps_its_contract_and_shows_it(home):
    ingest.run(night())
    contract = recorded()
    assert str(contract.through) == "2013-02-01"
    assert contract.columns["tailnum"].source_type == "text"
    assert contract.columns["tailnum"].profile is None  # nobody declared it: its name and type are all that is recorded
    shown = command("show").output
    assert "distance" in shown
    assert "not read" in shown
    assert json.loads(command("show", "--json").output)["columns"]["distance"]["declared"] == "number"
    assert command("diff").output.strip() == "no difference"


def test_looking_at_the_source_now_writes_nothing(home, production):
    assert command("diff", "--run").exit_code == 0
    execute(production, "UPDATE flights SET distance = distance * 100")
    before = files(home)
    seen = command("diff", "--run")
    assert (seen.exit_code, "100 times the recorded" in seen.output) == (1, True)
    execute(production, "ALTER TABLE flights DROP COLUMN carrier")
    assert "the problem file uses it" in command("diff", "--run").output
    assert contracts.pending(night()) is None
    assert files(home) == before


def test_one_column_is_accepted_and_the_other_still_stops(home, production):
    execute(production, "ALTER TABLE flights ADD COLUMN gate text", "ALTER TABLE flights DROP COLUMN tailnum")
    with pytest.raises(DataError, match="2 differences"):
        ingest.run(night())
    done = command("accept", "--column", "gate", "--why", "we asked for it")
    assert "still open: tailnum" in done.output
    with pytest.raises(DataError, match="1 difference"):
        ingest.run(night())
    with pytest.raises(RefusedError, match="No difference is open for 'gate'"):
        command("accept", "--column", "gate", "--why", "again")


def test_acceptance_stands_in_the_ledger(home, production):
    execute(production, "ALTER TABLE flights ADD COLUMN gate text")
    with pytest.raises(DataError):
        ingest.run(night())
    command("accept", "--why", "we asked for it")
    ledger = night().ledger
    (entry,) = [one for one in ledger.entries("flights") if one.kind == "contract"]
    assert (entry.body["why"], entry.run_key) == ("we asked for it", "second")
    assert entry.at == datetime.fromisoformat(NEXT)
    assert ledger.verify() == []


def test_a_source_that_was_mended_needs_no_acceptance(home, production):
    execute(production, "ALTER TABLE flights RENAME carrier TO airline")
    with pytest.raises(DataError, match="carrier is called airline now; name it so in the problem file"):
        ingest.run(night())
    execute(production, "ALTER TABLE flights RENAME airline TO carrier")
    assert ingest.run(night()).num_rows > 3_000
    assert contracts.pending(night()) is None
    with pytest.raises(RefusedError, match="There is nothing to accept"):
        command("accept", "--why", "late")


def test_a_renamed_feature_goes_on_when_the_problem_file_names_it_so(home, production):
    execute(production, "ALTER TABLE flights RENAME dest TO destination")
    with pytest.raises(DataError):
        ingest.run(night())
    command("accept", "--why", "release 7")
    file = home / "flights.toml"
    file.write_text(file.read_text().replace("\ndest = {", "\ndestination = {"))
    ingest.run(night())
    column = recorded().columns["destination"]
    assert column.declared == "category"
    assert column.profile is not None
    assert column.profile.values["ORD"] > 1_000


def test_a_contract_that_does_not_stop_tells_every_night_and_does_not_learn(home, production, caplog):
    file = home / "flights.toml"
    file.write_text(f"{file.read_text()}\n[contract]\nstop = false\n")
    execute(production, "UPDATE flights SET distance = distance * 1.609344")
    agreed = recorded()
    with caplog.at_level(logging.WARNING):
        ingest.run(night())
        ingest.run(night("third"))
    assert [record.message.count("kilometres instead of miles") for record in caplog.records if "distance" in record.message] == [
        1,
        1,
    ]
    assert recorded().columns["distance"] == agreed.columns["distance"]


def test_without_a_contract_there_is_nothing_to_show(home):
    (home / "store" / "flights" / "tables" / "contract.json").unlink()
    for group in (["show"], ["diff", "--run"]):
        with pytest.raises(DataError, match="no contract of flights yet"):
            command(*group)
    assert command("diff").exit_code == 0
