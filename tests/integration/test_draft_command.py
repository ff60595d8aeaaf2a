"""`expectations draft` on real flights: from production when nothing was ingested yet, then from what passed validation."""

import json

import pytest
from typer.testing import CliRunner

from ml import ingest, validate
from ml.cli.app import app
from ml.context import open_run
from ml.errors import ConfigError, DataError
from ml.validate import suite


@pytest.fixture
def home(home, monkeypatch):
    """As in conftest, before the tables of the state were made."""
    monkeypatch.setenv("EVERGREEN_DATABASE_URL", f"sqlite:///{home / 'state.db'}")
    return home


def draft(*arguments: str):
    return CliRunner().invoke(app, ["expectations", "draft", "--problem", "flights", *arguments], catch_exceptions=False)


def test_before_the_first_night_it_learns_from_production(home):
    shown = draft("--out", str(home / "flights.raw.json"))
    assert shown.exit_code == 0
    assert "from 27,004 rows of flights, 2013-01-01/2013-02-01" in shown.stderr
    loaded = suite.load(home / "flights.raw.json")
    assert len(loaded.expectations) > 30
    with pytest.raises(ConfigError, match="exists already"):
        draft("--out", str(home / "flights.raw.json"))


def test_afterwards_from_rows_that_passed_and_as_json(home, monkeypatch):
    from ml import database

    database.migrate(f"sqlite:///{home / 'state.db'}")
    context = open_run("flights", "night")
    ingest.run(context)
    validate.run(context)
    shown = draft("--json", "--window", "2013-01-10/2013-01-20")
    assert "rows of table valid, 2013-01-10/2013-01-20" in shown.stderr
    assert json.loads(shown.stdout)["name"] == "flights.raw"


def test_no_rows_are_told(home):
    with pytest.raises(DataError, match="has no rows to learn from"):
        draft("--window", "2012-01-01")
