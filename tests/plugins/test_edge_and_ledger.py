"""What is due stands in the work table: who announces it, who answers it, and what a doubled or lost event does."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from airflow.sdk.exceptions import AirflowSkipException
from retraining import edge

from ml import database, monitor
from ml import problem as problems
from ml import settings as settings_
from ml.context import Context, Reason
from ml.ledger import Ledger
from ml.records import Verdict

PROBLEMS = Path(__file__).resolve().parents[2] / "ml" / "problems"


@pytest.fixture
def run(tmp_path: Path) -> Callable[[Reason], Context]:
    """A run of the flights problem that has come as far as its verdict, on a ledger of its own."""
    url = f"sqlite:///{tmp_path / 'state.db'}"
    database.migrate(url)
    settings = replace(settings_.read({}), database_url=url, store=str(tmp_path / "store"))

    def make(reason: Reason) -> Context:
        context = Context(problems.load("flights", PROBLEMS), settings, f"run-{reason}", reason)
        context.once(Verdict, {}, lambda: Verdict(decision="reject", rules=(), champion_version=None, dry_run=False))
        return context

    return make


def book(context: Context) -> Ledger:
    return Ledger(context.settings.database_url)


def test_an_event_goes_out_only_when_work_of_its_kind_is_due(run):
    context = run("schedule")
    book(context).ask("flights", "deploy", "run-1", {})
    book(context).ask("complaints", "promote", "run-1", {})
    with pytest.raises(AirflowSkipException, match="nothing of kind 'promote' is due for flights"):
        edge.announce(context, "promote")
    book(context).ask("flights", "promote", "run-2", {})
    assert edge.announce(context, "promote") == {"kind": "promote", "due": ["run-2"]}


def test_an_event_goes_out_again_as_long_as_the_work_is_not_done(run):
    context = run("schedule")
    book(context).ask("flights", "promote", "run-1", {})
    assert edge.announce(context, "promote") == edge.announce(context, "promote")


@pytest.mark.parametrize("reason", ["drift", "schedule"])
def test_a_retrain_answers_the_drift_whatever_the_verdict(run, reason):
    context = run(reason)
    book(context).ask("flights", "retrain", "v1-2013-02-01", {})
    book(context).ask("complaints", "retrain", "v1-2013-02-01", {})
    monitor.answer(context)
    monitor.answer(context)
    assert book(context).due("flights", "retrain") == []
    assert len(book(context).due("complaints", "retrain")) == 1


@pytest.mark.parametrize("reason", ["manual", "backfill"])
def test_a_run_that_may_have_looked_at_any_window_answers_nothing(run, reason):
    context = run(reason)
    book(context).ask("flights", "retrain", "v1-2013-02-01", {})
    monitor.answer(context)
    assert len(book(context).due("flights", "retrain")) == 1


def test_a_dry_run_answers_nothing(run):
    context = replace(run("drift"), dry_run=True)
    book(context).ask("flights", "retrain", "v1-2013-02-01", {})
    monitor.answer(context)
    assert len(book(context).due("flights", "retrain")) == 1


def test_a_drift_event_that_came_twice_starts_one_retrain(run):
    context = run("drift")
    assert "trigger this DAG by hand" in str(edge.answered_already(context))
    book(context).ask("flights", "retrain", "v1-2013-02-01", {})
    assert edge.answered_already(context) is None
    monitor.answer(context)
    assert edge.answered_already(context) is not None


@pytest.mark.parametrize("reason", ["schedule", "manual", "backfill"])
def test_only_drift_needs_a_request_in_the_work_table(run, reason):
    assert edge.answered_already(run(reason)) is None


def test_a_night_with_nothing_new_leaves_its_reason_in_the_ledger_once(run):
    context = run("schedule")
    for _ in range(2):
        with pytest.raises(AirflowSkipException, match="exactly those"):
            edge.skip_night(context, "the rows are exactly those that the last verdict was about")
    (entry,) = [entry for entry in book(context).entries("flights") if entry.kind == "decided"]
    assert (entry.run_key, entry.body["train"], entry.body["rule"]) == (context.run_key, False, "unchanged")
    assert "exactly those" in entry.body["why"]
    edge.skip_night(context, None)


def test_a_backfill_ends_before_anybody_decides(run):
    context = run("backfill")
    with pytest.raises(AirflowSkipException, match="a backfill brings data"):
        edge.decided(context)
    assert book(context).entries("flights") == []
