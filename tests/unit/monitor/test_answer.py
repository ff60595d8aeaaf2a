"""A retrain that drift asked for has been judged: the request is closed, and a refusal is told once."""

from dataclasses import replace
from pathlib import Path

import pytest

from ml import database, monitor
from ml import problem as problems
from ml import settings as settings_
from ml.context import Context
from ml.records import Rule, Verdict

PROBLEMS = Path(__file__).resolve().parents[3] / "ml" / "problems"
NO = Rule(
    rule="against champion", value=-0.02, limit=-0.01, holds=False, sentence="auc is 0.020 below the champion's, allowed 0.010"
)


@pytest.fixture
def night(tmp_path):
    """A judged run by its number and verdict, on a ledger of its own."""
    url = f"sqlite:///{tmp_path / 'state.db'}"
    database.migrate(url)
    settings = replace(settings_.read({}), database_url=url, store=str(tmp_path / "store"))

    def make(number, decision):
        context = Context(problems.load("flights", PROBLEMS), settings, f"drift-{number}", "drift")
        rules = () if decision == "promote" else (NO,)
        context.write(Verdict(decision=decision, rules=rules, champion_version=3, dry_run=False))
        return context

    return make


def ask(context, key, since):
    body = {"reason": "drift: concept", "since": since, "version": 3}
    assert context.ledger.ask("flights", "retrain", key, body)


def test_a_refusal_is_told_once_with_the_gates_reason_however_often_the_same_drift_asks(night):
    for number, day in enumerate(("2013-06-30", "2013-07-07", "2013-07-14")):
        context = night(number, "reject")
        ask(context, f"v3-{day}", since="2013-06-30")
        monitor.answer(context)
        monitor.answer(context)
        assert context.ledger.due("flights", "retrain") == []
    (told,) = monitor.news(context)
    assert told == (
        "drift: concept: the retrain did not pass the gate, so version 3 goes on. "
        "reject: auc is 0.020 below the champion's, allowed 0.010"
    )
    assert monitor.news(context) == []
    assert [entry.key for entry in context.ledger.entries("flights") if entry.kind == "told"] == ["v3-refused-2013-06-30"]


def test_another_drift_is_told_anew(night):
    for number, since in enumerate(("2013-06-30", "2013-09-01")):
        context = night(number, "not assessable")
        ask(context, f"v3-{since}", since=since)
        monitor.answer(context)
    assert len(monitor.news(context)) == 2


def test_a_promotion_needs_no_telling(night):
    context = night(1, "promote")
    ask(context, "v3-2013-06-30", since="2013-06-30")
    monitor.answer(context)
    assert monitor.news(context) == [] and context.ledger.outcome("flights", "retrain", "v3-2013-06-30") == "drift-1: promote"


def test_killed_between_telling_and_closing_it_tells_once(night, monkeypatch):
    context = night(1, "reject")
    ask(context, "v3-2013-06-30", since="2013-06-30")
    with monkeypatch.context() as patch:
        patch.setattr("ml.ledger.Ledger.done", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            monitor.answer(context)
    assert len(context.ledger.due("flights", "retrain")) == 1
    monitor.answer(context)
    assert context.ledger.due("flights", "retrain") == [] and len(monitor.news(context)) == 1
