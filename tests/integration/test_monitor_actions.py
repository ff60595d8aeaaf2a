"""What the monitor asks for, day after day, against a real database, real tables and real models."""

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest

from ml import monitor
from ml.errors import ConfigError
from ml.ledger import Champion
from ml.problem import Problem
from ml.records import Monitored, MonitoredDay
from ml.scoring import Scorer
from ml.store import digest
from tests.integration import state_kit
from tests.integration.test_monitor import NIGHT, NOW, World, draw, found, outcomes
from tests.integration.test_monitor import empty as empty
from tests.integration.test_monitor import world as world


def under(world: World, **changes) -> World:
    """The same world under another policy."""
    world.problem = Problem.model_validate(world.problem.model_dump() | {"drift": world.problem.drift.model_dump() | changes})
    return world


def days(world, count, **shift):
    """Monitor some days in a row, each with its own traffic; the records."""
    records = []
    for number in range(count):
        world.moment = NOW + timedelta(days=number)
        world.serve_days([0], **shift)
        records.append(monitor.run(world.context(f"day-{number}")))
    return records


def entries(world, kind):
    return [entry for entry in world.ledger.entries("flights") if entry.kind == kind]


def test_drift_of_columns_retrains_only_when_it_has_lasted_and_says_since_when(world):
    under(world, persistence=3, retrain_on=("data",))
    records = days(world, 3, shift=1.5)
    assert [record.retrain for record in records] == [False, False, True]
    assert "data drift since 2026-03-10; it counts after 3 days in a row" in records[1].reason
    assert found(records[2], "carrier").since == date(2026, 3, 10)
    (work,) = world.ledger.due("flights", "retrain")
    assert work.body["since"] == "2026-03-10"
    kept = MonitoredDay.model_validate(world.context().store.read_json(f"{MonitoredDay.folder}/2026-03-12.json"))
    assert kept.run_key == "day-2" and kept.said.verdicts == records[2].verdicts
    assert {one.sentence for one in kept.said.findings} == {""} and kept.said.reason == "", "they quote values of requests"


def test_drift_that_only_concerns_people_is_told_once_while_it_lasts(world):
    records = days(world, 3, shift=1.5)
    each = [{action.key for action in record.actions if action.kind == "tell"} for record in records]
    assert each[0] == each[1] == each[2] >= {"v3-data-2026-03-10", "v3-prediction-2026-03-10"}
    assert {entry.key for entry in entries(world, "told")} == each[0] and len(entries(world, "told")) == len(each[0])
    assert len(monitor.news(world.context("news"))) == len(each[0]) and monitor.news(world.context("news")) == []
    again = monitor.run(world.context("later the same day"))
    assert not [action for action in again.actions if action.due] and monitor.news(world.context("news")) == []


def test_labels_are_asked_for_when_they_do_not_come_and_the_request_ends_when_they_do(world):
    world.moment = NOW + timedelta(days=8)  # the champion has served for longer than its labels may take
    keys, scores = world.serve_days(range(6))
    first = monitor.run(world.context("first"))
    assert [action.kind for action in first.actions] == ["label"] and "Labels asked for: 2400 of 2400" in first.reason
    world.moment += timedelta(days=1)
    second = monitor.run(world.context("second"))
    assert [action for action in second.actions if action.kind == "label"] == []
    assert [work.key for work in world.ledger.due("flights", "label")] == ["v3-2026-03-18"]
    world.know(keys, outcomes(scores, 5), day=date(2026, 3, 14), known_at=world.moment - timedelta(hours=1))
    monitor.run(world.context("third"))
    assert world.ledger.due("flights", "label") == []
    assert "labels are known on 2026-03-19" in str(world.ledger.outcome("flights", "label", "v3-2026-03-18"))


def test_a_window_of_the_past_is_judged_with_what_is_known_now_and_nothing_follows(world):
    world.moment = NOW + timedelta(days=20)
    at = NOW + timedelta(days=4)
    rows, scores = draw(NIGHT, 9, shift=1.5)
    keys = [f"then{number}" for number in range(NIGHT)]
    world.serve(rows, scores, keys, at)
    world.know(keys, outcomes(scores, 5, flipped=True), day=at.date(), known_at=NOW + timedelta(days=19))
    before = world.ledger.entries("flights")
    then = monitor.run(world.context("look", window=str(at.date())))
    assert (then.num_requests, then.num_labelled) == (NIGHT, NIGHT)
    assert (then.verdicts["data"], then.verdicts["concept"]) == ("drift", "drift")
    assert then.actions == () and not then.retrain and world.ledger.entries("flights") == before
    assert world.ledger.due("flights", "retrain") == []
    store = world.context().store
    assert not store.exists(Monitored.latest) and store.names(MonitoredDay.folder) == []
    quiet = monitor.run(world.context("nothing then", window="2026-03-20/2026-03-25"))
    assert quiet.num_requests == 0 and set(quiet.verdicts.values()) == {"not assessable"}
    with pytest.raises(ConfigError, match="begins after"):
        monitor.run(world.context("future", window="2027-01-01"))


def test_a_window_is_held_against_the_champion_of_that_time(world):
    world.moment = NOW + timedelta(days=3)
    with world.context("newer").store.replacing("runs/newer") as folder:
        folder.mkdir()
    world.ledger.move("flights", to=Champion(4, "newer", "d"), expected=3, kind="promote", key="newer", actor="test")
    world.serve_days([2])
    assert monitor.run(world.context("then", window="2026-03-11")).version == 3
    assert "is missing" in monitor.run(world.context("now")).reason, "version 4, whose run left nothing"


@pytest.fixture
def second(world):
    """Version 3 answers by chance where version 2, a real model, would be right; version 2 was champion before."""
    model = world.context("before").store.location(world.context("before").name("model"))
    state_kit.make_model(Path(model), "before")
    earlier = Champion(2, "before", digest(Path(model)))
    ledger = world.ledger
    ledger.move("flights", to=earlier, expected=3, kind="promote", key="before", actor="test")
    ledger.move("flights", to=Champion(3, "made", "digest"), expected=2, kind="promote", key="again", actor="test")
    scorer, rng = Scorer.load(Path(model)), np.random.default_rng(3)
    for day in range(6):
        rows, scores = draw(NIGHT, 50 + day)
        asked = [{**state_kit.ROWS[0], "delay": float(delay), "carrier": "AA"} for delay in rng.normal(-5, 20, NIGHT)]
        truth = scorer.score(scorer.table(asked))
        keys = [f"{day}-{number}" for number in range(NIGHT)]
        at = NOW - timedelta(days=day, hours=3)
        world.serve([row | one for row, one in zip(rows, asked, strict=True)], scores, keys, at)
        world.know(keys, rng.random(NIGHT) < truth, day=date(2026, 3, 5) - timedelta(days=day))
    return world


def test_the_way_back_is_asked_once_where_the_champion_before_answers_the_same_rows_better(second):
    under(second, rollback=True)
    record = monitor.run(second.context("first"))
    assert record.verdicts["concept"] == "drift" and record.retrain
    assert [action.kind for action in record.actions].count("rollback") == 1
    (work,) = second.ledger.due("flights", "rollback")
    assert work.body["to"] == 2 and "version 2 does better on the same answers, auc by +0." in work.body["why"]
    second.moment = NOW + timedelta(days=1)
    monitor.run(second.context("next day"))
    assert len(second.ledger.due("flights", "rollback")) == 1 and len(entries(second, "rollback_asked")) == 1


def test_there_is_no_way_back_without_leave_nor_to_a_model_that_is_gone(second):
    assert "rollback" not in {action.kind for action in monitor.run(second.context("no leave")).actions}
    under(second, rollback=True)
    second.context("before").store.delete("runs/before/model")
    record = monitor.run(second.context("gone"))
    assert "No way back: The model folder" in record.reason and second.ledger.due("flights", "rollback") == []


def test_a_dry_run_keeps_nothing_of_the_day(world):
    world.serve_days([0], shift=1.5)
    record = monitor.run(replace(world.context("dry"), dry_run=True))
    assert found(record, "carrier").since == date(2026, 3, 10) and record.actions == ()
    assert world.context().store.names(MonitoredDay.folder) == []
