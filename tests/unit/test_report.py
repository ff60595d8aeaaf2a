"""Pages of a run: written when there is a result, also of a batch that was not let through, and nothing before that."""

from dataclasses import replace

import pytest

from ml import problem as problems
from ml import report
from ml import settings as settings_
from ml.context import Context
from ml.settings import PROJECT

RESULT = {"run_key": "night", "start": "2013-01-31", "end": "2013-02-01", "rules": []}


@pytest.fixture
def context(tmp_path):
    given = replace(settings_.read({}), store=str(tmp_path / "store"), database_url=f"sqlite:///{tmp_path / 'none.db'}")
    return Context(problems.load("flights", PROJECT / "ml" / "problems"), given, "night", "backfill")


def test_no_result_no_page(context):
    assert report.run(context) == []
    assert context.store.names("") == []


@pytest.mark.parametrize(("refused", "told"), [("a rule broke", "Not let through"), ("", "were let through")])
def test_a_batch_that_was_not_let_through_has_its_page_too(context, refused, told):
    counts = {"num_ingested": 9, "num_valid": 9, "num_quarantined": 0}
    context.store.write_json(context.name("validation.json"), RESULT | counts | {"refused": refused})
    assert report.run(context) == ["validation.html"]
    page = context.store.read(context.name("validation.html"))
    assert told in page.decode()
    report.run(context)
    assert context.store.read(context.name("validation.html")) == page


def test_a_night_also_gets_its_data_report(context):
    context.store.write_json(context.name("validation.json"), RESULT | {"refused": "a rule crashed"})
    assert report.run(replace(context, reason="schedule")) == ["validation.html", "data.html"]
    assert b"has no rows" in context.store.read(context.name("data.html"))
