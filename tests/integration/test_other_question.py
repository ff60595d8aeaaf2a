"""The problem file asks something else than the champion answers: nothing is compared, and a run that is cleared begins anew."""

from contextlib import closing

import psycopg2
import pytest

from ml import evaluate, gate, ingest, monitor, prepare, train, validate
from ml.context import Context, open_run
from ml.ledger import Champion
from ml.records import Evaluated, Monitored, Prepared, Trained, Verdict
from tests.integration.tasks_kit import ASKED, VIEW, write

STAGES = (ingest, validate, prepare, train, evaluate, gate)
ASK = next(asked for asked in ASKED if asked.task == "multiclass")


@pytest.fixture
def path(home, production, monkeypatch):
    """The problem file of the classes."""
    with closing(psycopg2.connect(production)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(VIEW)
    monkeypatch.setenv("EVERGREEN_PROBLEMS", str(home))
    return write(ASK, home)


def night(key: str) -> Context:
    context = open_run(ASK.name, key)
    for stage in STAGES:
        stage.run(context)
    return context


@pytest.mark.slow
def test_classes_in_another_order_are_not_compared_and_another_label_is_read_for_all_of_history(path):
    first, text = night("first"), path.read_text()
    champion = Champion(1, "first", first.record(Trained).model_digest)
    first.ledger.move(ASK.name, to=champion, expected=None, kind="promote", key="first", actor="test")
    classes = '["early", "on time", "late", "very late"]'
    path.write_text(text.replace(classes, '["late", "very late", "early", "on time"]'))

    other = night("other")
    evaluated = other.record(Evaluated)
    assert evaluated.champion is None and "answers early, on time, late, very late" in evaluated.champion_problem
    assert evaluated.reference is not None and evaluated.reference.champion is None
    assert other.record(Verdict).decision == "not assessable"
    monitored = monitor.run(open_run(ASK.name, "evening"))
    assert isinstance(monitored, Monitored) and "cannot be held against its promise" in monitored.reason

    path.write_text(text)
    cleared = night("other").record(Evaluated)  # of the same run: its rows are encoded and learned from anew
    assert cleared.champion is not None
    assert cleared.candidate.metrics["auc"].value == pytest.approx(cleared.champion.metrics["auc"].value, abs=0.02)

    binary = text.replace('"multiclass"', '"binary"').replace('"arrival"', '"left_late"').replace(f"classes = {classes}", "")
    path.write_text(binary)
    for stage in (ingest, validate, prepare):
        stage.run(open_run(ASK.name, "binary"))
    asked, before = open_run(ASK.name, "binary").record(Prepared), first.record(Prepared)
    assert asked.train.num_rows > 0.9 * before.train.num_rows
