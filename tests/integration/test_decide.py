"""The stage that decides whether a night trains: real flights in a real table, a ledger of SQLite, folders of earlier runs."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from ml import database, decide, prepare
from ml import problem as problems
from ml import settings as settings_
from ml.context import Context
from ml.ledger import Champion
from ml.records import Decided, Ingested, Monitored, Part, Prepared, Trained, Validated
from ml.samples import flights
from ml.settings import PROJECT
from ml.snapshot import PROBLEM
from ml.tables import DAY
from ml.window import Window

FLIGHTS = problems.load("flights", PROJECT / "ml" / "problems")
JANUARY = Window(date(2013, 1, 1), date(2013, 1, 24))


@pytest.fixture(scope="module")
def rows() -> pa.Table:
    """A third of the flights until May, each with its day; labels are there for all that flew."""
    found = flights.read()
    local = pc.local_timestamp(found["sched_dep"].cast(pa.timestamp("us", FLIGHTS.source.timezone)))
    found = found.append_column(DAY, pc.strftime(local, "%Y-%m-%d"))
    kept = np.random.default_rng(1).random(found.num_rows) < 1 / 3
    return found.filter(pa.array(kept)).filter(pc.less(found.filter(pa.array(kept))[DAY], "2013-05-01"))


@pytest.fixture
def night(tmp_path: Path, rows: pa.Table):
    """A night of flights that has validated its rows; the champion was trained on `trained_on` from January."""
    url = f"sqlite:///{tmp_path / 'state.db'}"
    database.migrate(url)

    def make(day: date, *, trained_on: date | None = date(2013, 2, 1), reason="schedule", **retraining) -> Context:
        clock = tmp_path / "clock"
        read = replace(settings_.read({}), database_url=url, store=str(tmp_path / "store"), clock_file=clock)
        problem = FLIGHTS.model_copy(update={"retraining": FLIGHTS.retraining.model_copy(update=retraining)})
        context = Context(problem, read, f"night-{day}", reason)
        if trained_on:
            clock.write_text(f"{trained_on}T08:00:00+00:00")
            trained(context.of_run("made"))
        clock.write_text(f"{day}T08:00:00+00:00")
        window = Window(date(2013, 1, 1), day)
        version = context.table("valid").replace(window, rows.filter(pc.less(rows[DAY], str(day))))
        about = {"start": window.start, "end": window.end, "version": version}
        context.write(Ingested(num_rows=1, num_rows_by_day={}, changed=True, **about))
        context.write(Validated(num_ingested=1, num_valid=1, num_quarantined=0, rules=(), **about))
        return context

    return make


def trained(run: Context) -> None:
    """A champion that learned from the first 23 days of January, and its verdict."""

    def part(first: date, last: date, size: int) -> Part:
        return Part(first=first, last=last, num_rows=size, positive_rate=0.2)

    parts = {
        "train": part(JANUARY.start, date(2013, 1, 20), 5000),
        "validation": part(date(2013, 1, 21), date(2013, 1, 23), 900),
        "test": part(date(2013, 1, 24), date(2013, 1, 30), 2000),
    }
    run.write(Prepared(valid_version=0, num_unlabelled=0, rows_digest="", **parts))
    about = {"num_parameters": 1, "epochs": 1, "best_epoch": 1, "validation_loss": 0.5, "export_difference": 0.0}
    training = run.problem.training.model_dump(mode="json")
    run.write(Trained(model_digest="d", training=training, seconds=120.0, **about))
    run.store.write_json(run.name(PROBLEM), run.problem.model_dump(mode="json"))
    book, body = run.ledger, {"verdict": {"decision": "promote", "dry_run": False}}
    book.append("flights", "verdict", key=run.run_key, actor="retrain", run_key=run.run_key, body=body)
    book.move("flights", to=Champion(1, run.run_key, "d"), expected=None, kind="promote", key="1", actor="tests")


def noted(context: Context) -> list[dict]:
    return [entry.body for entry in context.ledger.entries("flights") if entry.kind == "decided"]


def test_without_a_champion_a_night_trains(night):
    assert decide.run(night(date(2013, 2, 1), trained_on=None)).rule == "first"


def test_a_skip_is_explained_in_the_record_and_once_in_the_ledger(night):
    context = night(date(2013, 2, 2))
    first = decide.run(context)
    assert (first.train, first.rule) == (False, "too soon")
    assert first.sentence == "skip: the last training was 1 day ago, and [retraining] shortest_days is 3"
    assert decide.run(context) == first
    assert [body["why"] for body in noted(context)] == [first.why]


def test_few_new_rows_are_not_worth_a_look_and_later_ones_are_looked_at_once(night):
    few = decide.run(night(date(2013, 2, 4), new_evidence=0.3))
    assert (few.rule, few.train, few.compared) == ("too little", False, ())
    assert 0 < few.num_new < 0.3 * 7900

    looked = decide.run(night(date(2013, 2, 24)))
    assert looked.rule in ("gain", "no gain") and looked.compared[0].gain is not None
    assert looked.looked_until == date(2013, 2, 23)
    again = decide.run(night(date(2013, 2, 25), shortest_days=1))
    assert (again.rule, again.num_new < 0.1 * 7900) == ("too little", True)


def test_the_spring_is_told_from_january_and_trains(night):
    """In March 2013 flights were late for other reasons than in January: what a model of January says is worth less."""
    decided = decide.run(night(date(2013, 3, 24)))
    assert (decided.train, decided.rule) == (True, "gain")
    assert decided.compared[0].p_value < 0.05 and decided.compared[0].share > 0.02


@pytest.mark.parametrize("reason", ["manual", "backfill"])
def test_who_asks_by_hand_gets_a_training_from_the_usual_days(night, reason):
    context = night(date(2013, 2, 2), reason=reason, policy="never")
    decided = decide.run(context)
    assert (decided.train, decided.start, noted(context)) == (True, None, [])


def test_drift_that_was_asked_for_trains_whatever_the_policy_and_the_budget_say(night):
    context = night(date(2013, 2, 3), reason="drift", policy="never", minutes_per_month=0.1)
    context.ledger.ask("flights", "retrain", "v1", {"reason": "drift: concept"})
    decided = decide.run(context)
    assert decided.train and "drift: concept" in decided.why


def test_a_night_keeps_the_minutes_of_the_month(night):
    decided = decide.run(night(date(2013, 2, 10), policy="nightly", minutes_per_month=3))
    assert (decided.train, decided.rule, decided.minutes_spent) == (False, "budget", 2.0)
    assert decide.run(night(date(2013, 3, 10), policy="nightly", minutes_per_month=3)).train  # a month later it is spent again


def test_an_edited_problem_file_is_learned_from_the_next_night(night):
    context = night(date(2013, 2, 2))
    training = context.problem.training.model_copy(update={"layers": (8,)})
    edited = replace(context, problem=context.problem.model_copy(update={"training": training}))
    decided = decide.run(edited)
    assert (decided.train, decided.rule) == (True, "edited") and "training" in decided.why
    quieter = context.problem.training.model_copy(update={"checkpoint_seconds": 5.0})
    other = replace(context, run_key="other", problem=context.problem.model_copy(update={"training": quieter}))
    other.write(context.record(Validated))
    assert not decide.run(other).train


@pytest.mark.parametrize(("end", "train"), [("2013-02-05T12:00:00+00:00", True), ("2013-01-31T12:00:00+00:00", False)])
def test_the_drift_policy_heeds_what_was_monitored_after_the_last_training(night, end, train):
    context = night(date(2013, 2, 6), policy="drift")
    about = {"num_requests": 1, "num_labelled": 0, "findings": (), "retrain": False, "reason": ""}
    moment = datetime.fromisoformat(end)
    seen = Monitored(start=moment - timedelta(days=1), end=moment, version=1, verdicts={"data": "drift"}, **about)
    context.store.write_json(Monitored.latest, seen.model_dump(mode="json"))
    assert decide.run(context).train is train


def test_the_window_that_was_chosen_is_what_the_training_learns_from(night):
    context = night(date(2013, 4, 20))
    usual = prepare.run(replace(context, run_key="usual").of_run("night-2013-04-20"))
    assert usual.train.first == date(2013, 2, 19)
    context.write(Decided(train=True, rule="gain", policy="evergreen", why="", memory="break", start=date(2013, 3, 10)))
    assert prepare.run(context).train.first == date(2013, 3, 10)


def test_a_break_is_held_against_the_usual_window_when_it_is_old_enough(night):
    context = night(date(2013, 4, 20), reason="drift")
    clock = context.settings.clock_file
    assert clock is not None
    clock.write_text(datetime(2013, 3, 5, tzinfo=UTC).isoformat())
    body = {"reason": "drift: concept", "findings": [{"since": "2013-03-01"}]}
    context.ledger.append("flights", "retrain_asked", key="v1", actor="monitor", body=body)
    clock.write_text("2013-04-20T08:00:00+00:00")
    decided = decide.run(context)
    assert {one.memory: one.start for one in decided.compared} == {
        "sliding": date(2013, 2, 19),
        "expanding": date(2013, 1, 1),
        "break": date(2013, 3, 1),
    }
