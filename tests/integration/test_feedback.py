"""Feedback through the real service into the table of labels: joined by request or key, once, late and corrected; keys, spool."""

import csv
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import psycopg2
import pyarrow as pa
import pytest

from ml import database as databases
from ml import feedback, keys, labels, privacy
from ml import problem as problems
from ml.context import Context
from ml.errors import DataError
from ml.feedback import join
from ml.ledger import Champion
from ml.redaction import hashed
from ml.requests import feedback as told_
from ml.settings import PROJECT
from ml.tables import DAY
from ml.window import Window
from tests.integration.serving_kit import ROWS, Service, kill_postgres, make_model, make_postgres, running
from tests.integration.state_kit import Fuse, Killed

NOW = datetime(2013, 2, 1, 8, tzinfo=UTC)


@pytest.fixture(scope="module")
def service(database, tmp_path_factory) -> Iterator[Service]:
    """A service of two workers; problems of their own for each test."""
    service = Service(tmp_path_factory.mktemp("feedback"), database("feedback"), workers=2)
    service.clock.write_text(NOW.isoformat())
    for name in NAMES:
        service.add_problem(name)
    path = service.home / "problems" / "hashed.toml"
    path.write_text(f'{path.read_text()}\n[privacy]\nredact = {{ id = "hash" }}\n')
    with running(service):
        for name in NAMES:
            assert service.put(name, make_model(service.store, name, 1)).status_code == 200
        yield service


NAMES = ("joined", "late", "killed", "hashed", "queued")


def context_of(service: Service, name: str) -> Context:
    read = service.settings()
    return Context(problems.load(name, read.problems), read, "feedback-1")


def tell(service: Service, name: str, *told: dict[str, Any], key: str = "") -> httpx.Response:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    address = f"{service.url}/problems/{name}/feedback"
    return httpx.post(address, json={"feedback": list(told)}, headers=headers, timeout=60)


def ask(service: Service, name: str, *named: str | None) -> dict[str, Any]:
    rows = [ROWS[place % 2] | ({"key": key} if key else {}) for place, key in enumerate(named)]
    answer = service.predict(name, rows)
    service.wait_logged()
    return answer.json()


def take_in(service: Service, context: Context):
    service.wait_for(lambda health: health["feedback"]["waiting"] == 0)
    return feedback.run(context)


def held(context: Context) -> dict[str, Any]:
    """Label and source by key, in the order of the table's becoming known."""
    rows = labels.read(context).sort_by("_order").to_pylist()
    return {row["_key"]: (json.loads(row["_label"]), row["_source"], row["_labeller"]) for row in rows}


def test_right_wrong_and_the_right_answer_by_request_and_by_key_become_labels(service):
    context = context_of(service, "joined")
    answered = ask(service, "joined", "a", "b", "c", None)
    decisions = {one["key"]: one["decision"] for one in answered["predictions"]}
    assert set(decisions.values()) == {True, False}
    request = answered["request_id"]
    taken = tell(
        service, "joined",
        {"request_id": request, "verdict": "right"},
        {"request_id": request, "position": 1, "verdict": "wrong", "by": "anna"},
        {"key": "c", "label": True, "kind": "outcome", "id": "o-1"},
        {"request_id": request, "position": 3, "label": False},
    )  # fmt: skip
    assert (taken.status_code, taken.json()["taken"]) == (202, 4)
    assert taken.json()["ids"][2] == "o-1"
    assert (take_in(service, context).num_joined, held(context)) == (
        4,
        {
            "a": (decisions["a"], "feedback", "anybody"),
            "b": (not decisions["b"], "feedback", "anna"),
            "c": (True, "outcome", "anybody"),
            None: (False, "feedback", "anybody"),
        },
    )
    known = labels.known_labels(context, pa.array(["a", "b", "c"]), NOW, NOW)
    assert known == {"a": float(decisions["a"]), "b": float(not decisions["b"]), "c": 1.0}
    again = tell(service, "joined", {"key": "c", "label": True, "kind": "outcome", "id": "o-1"})
    assert again.status_code == 202
    tell(service, "joined", {"key": "c", "label": False, "kind": "outcome"})  # the program mends what it said
    assert take_in(service, context).num_joined == 1
    assert held(context)["c"] == (False, "outcome", "anybody")
    assert labels.read(context).num_rows == 5
    figures = httpx.get(f"{service.url}/metrics", timeout=60).text
    assert 'evergreen_feedback_total{kind="outcome",problem="joined"} 3.0' in figures


def test_feedback_waits_for_its_row_and_is_dropped_and_told_when_none_comes(service):
    context = context_of(service, "late")
    tell(
        service, "late", {"key": "later", "label": True}, *({"request_id": f"no-{one}", "verdict": "right"} for one in range(30))
    )
    first = take_in(service, context)
    assert (first.num_joined, first.num_waiting, first.unmatched_share) == (0, 31, None)
    row = {"id": ["later"], "late": pa.array([None], pa.bool_()), "arrived": pa.array([None], pa.timestamp("us", "UTC"))}
    context.table("valid").replace(Window.parse("2013-01-31"), pa.table(row | {DAY: ["2013-01-31"]}))
    service.clock.write_text((NOW + timedelta(days=8)).isoformat())
    try:
        second = take_in(service, context)
        assert (second.num_joined, second.num_dropped, second.num_waiting) == (1, 30, 0)
        assert second.unmatched_share == pytest.approx(30 / 31)
        with pytest.raises(DataError, match=r"96\.8% of the feedback belongs to no request and no key"):
            feedback.watch(context)
        figures = httpx.get(f"{service.url}/metrics", timeout=60).text
        assert f'evergreen_feedback_unmatched_share{{problem="late"}} {30 / 31}' in figures
        assert 'evergreen_feedback_unmatched_limit{problem="late"} 0.05' in figures
        assert 'evergreen_feedback_unjoined{problem="late"} 0.0' in figures
    finally:
        service.clock.write_text(NOW.isoformat())
    assert held(context) == {"later": (True, "feedback", "anybody")}


@pytest.mark.parametrize("step", [1, 2])
def test_killed_between_table_and_database_and_run_again_each_label_stands_once(service, monkeypatch, step):
    context = context_of(service, "killed")
    name = f"k{step}"
    ask(service, "killed", name)
    tell(service, "killed", {"key": name, "label": True, "by": "anna"})
    service.wait_for(lambda health: health["feedback"]["waiting"] == 0)
    fuse = Fuse(step)
    for module, function in ((join, "add"), (told_, "finish")):
        monkeypatch.setattr(module, function, fuse.after(getattr(module, function)))
    with pytest.raises(Killed):
        feedback.run(context)
    monkeypatch.undo()
    feedback.run(context)
    assert labels.read(context)["_key"].to_pylist().count(name) == 1
    assert feedback.run(context).num_joined == 0


@pytest.mark.parametrize(
    ("told", "says"),
    [
        ({"verdict": "right"}, "say which row is meant"),
        ({"key": "a"}, "say either a verdict or the label"),
        ({"key": "a", "verdict": "right", "label": True}, "say either a verdict or the label"),
        ({"key": "a", "label": "yes"}, "feedback.1.label: 'yes' is no label of joined. Expected true or false"),
        ({"key": "a\0b", "label": True}, "the character NUL"),
        ({"key": "a", "label": True, "shoe": 1}, "Extra inputs are not permitted"),
    ],
)
def test_what_cannot_be_meant_is_refused_as_a_whole_and_says_which(service, told, says):
    answer = tell(service, "joined", {"key": "x", "label": True}, told)
    assert answer.status_code == 422
    assert says in answer.json()["error"]
    assert "x" not in [row["_key"] for row in labels.read(context_of(service, "joined")).to_pylist()]


def test_a_hashed_key_is_hashed_before_it_is_kept_and_joined_all_the_same(service):
    context = context_of(service, "hashed")
    ask(service, "hashed", "customer-7")
    tell(service, "hashed", {"key": "customer-7", "label": True})
    assert take_in(service, context).num_joined == 1
    assert list(held(context)) == [hashed("customer-7", column="id", salt=privacy.salt_of(context.store))]


def test_only_a_key_that_allows_it_gives_feedback_and_is_named(database, tmp_path):
    closed = Service(tmp_path / "closed", database("keys"))
    databases.migrate(closed.database_url)
    closed.add_problem("keyed")
    now = datetime.now(UTC)
    made = {
        scope: keys.new(closed.database_url, keys.Asked(client=f"{scope} app", scopes=(scope,)), actor="tests", now=now)[1]
        for scope in ("predict", "feedback")
    }
    with running(closed):
        told = {"key": "k", "label": True}
        assert tell(closed, "keyed", told).status_code == 401
        refused = tell(closed, "keyed", told, key=made["predict"])
        assert (refused.status_code, "does not allow to give feedback" in refused.json()["error"]) == (403, True)
        assert tell(closed, "keyed", told, key=made["feedback"]).status_code == 202
        asked = httpx.post(
            f"{closed.url}/problems/keyed/predict", json={"rows": ROWS}, headers={"Authorization": f"Bearer {made['feedback']}"}
        )
        assert asked.status_code == 403
        closed.wait_for(lambda health: health["feedback"]["waiting"] == 0)
    with closing(psycopg2.connect(closed.database_url)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT labeller FROM feedback WHERE problem = 'keyed'")
        assert cursor.fetchall() == [("feedback app",)]


def test_feedback_outlives_a_database_that_is_away_and_the_end_of_the_service(tmp_path):
    server = make_postgres(tmp_path / "postgres")
    server.start()
    service = Service(tmp_path / "service", server.create_database("away"))
    service.add_problem("joined")
    try:
        with running(service):
            kill_postgres(server)
            assert tell(service, "joined", {"key": "a", "label": True, "by": "anna"}).status_code == 202
            assert service.wait_for(lambda health: health["feedback"]["error"])["feedback"]["waiting"] == 1
        server.start()
        with running(service):
            service.wait_for(lambda health: health["feedback"]["waiting"] == 0)
            context = context_of(service, "joined")
            row = {"id": ["a"], "late": pa.array([None], pa.bool_()), "arrived": pa.array([None], pa.timestamp("us", "UTC"))}
            today = str(datetime.now(UTC).date())
            context.table("valid").replace(Window.parse(today), pa.table(row | {DAY: [today]}))
            assert feedback.run(replace(context, run_key="once")).num_joined == 1
        assert held(context) == {"a": (True, "feedback", "anna")}
    finally:
        server.stop()


def test_rows_are_chosen_asked_about_once_labelled_elsewhere_and_learned_from(service, tmp_path):
    """Through the command line, as people do it."""
    context = replace(context_of(service, "queued"), run_key="q-1")
    version = Champion(1, "run-1", "0" * 64)
    context.ledger.move("queued", to=version, expected=None, kind="promote", key="k", actor="tests")
    answered = ask(service, "queued", *(f"f{number:02}" for number in range(70)))["predictions"]
    ask(service, "queued", "known", None)
    labels.add(context, [labels.Label("known", True, "outcome", "a feed", NOW)], by="tests")
    tell(service, "queued", {"key": "f03", "label": False})
    take_in(service, context)
    queued = feedback.queue(context)
    assert (queued.num_candidates, queued.num_tasks, queued.num_audit) == (69, 50, 10), "without a key, or with a label: no"
    assert feedback.queue(context) == queued, "once per run"
    tasks = feedback.open_tasks(context)
    scores = {one["key"]: abs(one["score"] - 0.05) for one in answered}
    chosen = {task.key for task in tasks if task.why == "uncertain"}
    assert len(tasks) == 50 and max(scores[key] for key in chosen) <= max(scores.values())
    assert "f03" not in {task.key for task in tasks}
    again = feedback.queue(replace(context, run_key="q-2"))
    assert again.num_candidates == 19, "nobody is asked about a row twice"

    def run(*command: str) -> Any:
        done = subprocess.run(
            [sys.executable, "-m", "ml", "labels", *command, "--problem", "queued", "--json"],
            env=plain | service.environment() | {"PYTHONPATH": str(PROJECT), "PYTHONWARNINGS": "ignore"},
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    plain = {name: value for name, value in os.environ.items() if not name.startswith("EVERGREEN_")}
    out = tmp_path / "rows.csv"
    assert run("export", "--out", str(out))["rows"] == 69
    lines = list(csv.DictReader(out.read_text().splitlines()))
    with out.open("w", newline="") as file:
        writer = csv.DictWriter(file, lines[0].keys())
        writer.writeheader()
        writer.writerows(line | {"label": "yes" if line["key"] < "f50" else "no", "labeller": "anna"} for line in lines)
    assert run("import", str(out)) == {"labels": 69, "new": 69}
    assert run("import", str(out)) == {"labels": 69, "new": 0}, "the same file again changes nothing"
    known = labels.known_labels(context, pa.array(["f00", "f60", "f03", "known"]), NOW, NOW)
    assert known == {"f00": 1.0, "f60": 0.0, "f03": 0.0, "known": 1.0}
    exported = tmp_path / "ls.json"
    assert run("export", "--out", str(exported), "--format", "label-studio")["rows"] == 0, "all are labelled"
    told = [{"data": {"key": "f00"}, "annotations": [{"result": [{"value": {"choices": ["no"]}}], "completed_by": 7}]}]
    exported.write_text(json.dumps(told))
    assert run("import", str(exported)) == {"labels": 1, "new": 1}
    [pair] = run("agreement")
    assert (pair["labellers"], pair["num_rows"], pair["apart"]) == (["anna", "label-studio:7"], 1, ["f00"])
    wrong = {key for key, decision in ((one["key"], one["decision"]) for one in answered) if decision != (key < "f50")}
    found = run("quality")
    assert (found["num_rows"], found["num_labelled"]) == (69 + 19, 69)
    assert found["low"] <= len(wrong - {"f03"}) / 69 <= found["high"]
    assert sum(line["labels"] for line in run("list")) == 72
