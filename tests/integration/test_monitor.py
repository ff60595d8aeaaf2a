"""The monitor against a real database, real Delta tables and a champion's run folder made by hand."""

import json
import tomllib
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ml import labels, monitor, requests
from ml.context import Context
from ml.database import connect, migrate
from ml.ledger import Champion, Ledger
from ml.monitor import evidence, sample
from ml.problem import Problem
from ml.records import DriftFinding, Evaluated, Interval, Monitored, Scores
from ml.settings import DEFAULTS, Settings
from ml.tables import ARROW_TYPES
from ml.window import Window

Floats = npt.NDArray[np.float64]
NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
NIGHT = 400  # requests served a day
PROBLEM = """
[problem]
name = "flights"
title = "Will it be late?"
task = "binary"
owner = "tests"
[source]
table = "flights"
key = "id"
event_time = "departs"
label = "late"
label_time = "known_at"
[features]
carrier = {type = "category"}
distance = {type = "number"}
humidity = {type = "number"}
wind = {type = "number"}
remark = {type = "text"}
departs = {type = "datetime"}
zip = {type = "zip"}
abroad = {type = "boolean"}
[drift]
minimum_rows = 200
"""


def draw(size: int, seed: int, *, shift: float = 0.0) -> tuple[list[dict[str, Any]], Floats]:
    """Rows as JSON values and their calibrated scores; `shift` moves five of eight columns."""
    rng = np.random.default_rng(seed)
    distance, wind = rng.normal(1000 + 300 * shift, 300, size), rng.gamma(2, 4, size) * (1 + shift)
    carriers = rng.choice(["UA", "AA", "DL", "B6"], size, p=[0.4, 0.3, 0.2, 0.1] if not shift else [0.05, 0.1, 0.25, 0.6])
    humidity = [None if rng.random() < 0.1 + 0.4 * min(shift, 1) else float(value) for value in rng.uniform(20, 100, size)]
    words = rng.poisson(4 + 4 * shift, size)
    hours, zips, abroad = rng.integers(0, 24, size), rng.choice(["10001", "07302", "11430"], size), rng.random(size) < 0.2
    rows = [
        {
            "carrier": str(carriers[n]),
            "distance": float(distance[n]),
            "humidity": humidity[n],
            "wind": float(wind[n]),
            "remark": " ".join(["word"] * words[n]) or None,
            "departs": f"2026-03-01T{hours[n]:02d}:30:00+00:00",
            "zip": str(zips[n]),
            "abroad": bool(abroad[n]),
        }
        for n in range(size)
    ]
    return rows, 1 / (1 + np.exp(-(rng.normal(size=size) * 1.5 - 1 + shift)))


def outcomes(scores: Floats, seed: int, *, flipped: bool = False) -> npt.NDArray[np.bool_]:
    rate = 1 - scores if flipped else scores
    drawn: npt.NDArray[np.bool_] = np.random.default_rng(seed).random(len(scores)) < rate
    return drawn


@dataclass
class World:
    """A problem with a champion, version 3 of run `made`, its request log and its outcomes."""

    folder: Path
    url: str
    problem: Problem
    moment: datetime = NOW

    def context(self, run_key: str = "monitor-1", **changes: Any) -> Context:
        clock = self.folder / "clock"
        clock.write_text(self.moment.isoformat())
        values: dict[str, Any] = {**DEFAULTS, "store": str(self.folder / "store"), "database_url": self.url}
        settings = Settings(**values | {"problems": self.folder, "expectations": self.folder, "clock_file": clock})
        return replace(Context(self.problem, settings, run_key), **changes)

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.url, now=lambda: self.moment)

    def make_champion(self, *, rows: Callable[[list[Any]], list[Any]] | None = None) -> None:
        made = self.context("made")
        learned, scores = draw(6000, 1)
        learned = rows(learned) if rows else learned
        parts = ["train"] * 4000 + ["validation"] * 1000 + ["test"] * 1000
        columns, absent = evidence.typed_rows([json.dumps(row) for row in learned], self.problem.features)
        assert not absent
        with made.store.replacing(made.name("rows.parquet")) as path:
            pq.write_table(pa.table(columns | {"_part": pa.array(parts)}), path, row_group_size=1000)
        labels = outcomes(scores, 2)
        with made.store.replacing(made.name("scores.parquet")) as path:
            pq.write_table(pa.table({"_label": labels, "candidate": scores}), path)
        self.write_evaluation(made, auc_of(labels, scores))
        champion = Champion(3, "made", "digest")
        self.ledger.move("flights", to=champion, expected=None, kind="promote", key="made", actor="test")

    def write_evaluation(self, made: Context, auc: float) -> None:
        one = Interval(value=auc, low=auc - 0.01, high=auc + 0.01)
        quality = Scores(metrics={"auc": one}, slices={})
        evaluated = Evaluated(
            num_rows=1000,
            newest_label=date(2026, 3, 1),
            positive_rate=0.3,
            candidate=quality,
            baselines={},
            champion=None,
            champion_version=None,
            gain_over_champion=None,
            gains_over={},
            slice_gains={},
            slice_rows={},
            threshold=0.5,
            confusion={},
            flips=0,
            calibration_error=0.01,
            days=7,
        )
        made.store.write_json(made.name("evaluate.json"), {"inputs": "", "record": evaluated.model_dump(mode="json")})

    def serve(self, rows: list[Any], scores: Floats, keys: list[Any], at: datetime, *, version: int = 3) -> None:
        asked = requests.Request(
            request_id=f"{at.isoformat()}-{version}-{keys[0] if keys else ''}",
            problem="flights",
            version=version,
            served_at=at,
            keys=list(keys),
            rows=rows,
            answers=[{"score": float(score), "decision": bool(score >= 0.5)} for score in scores],
        )
        with closing(connect(self.url)) as connection:
            requests.append(connection, [asked])

    def serve_days(self, days: Iterable[int], *, shift: float = 0.0, size: int = NIGHT) -> tuple[list[str], Floats]:
        """Requests of some days before now; returns keys and scores."""
        keys: list[str] = []
        all_scores: list[float] = []
        for day in days:
            at = self.moment - timedelta(days=day, hours=3)
            rows, scores = draw(size, 100 + day, shift=shift)
            names = [f"{at:%m%d}-{number}" for number in range(size)]
            self.serve(rows, scores, names, at)
            keys, all_scores = [*keys, *names], [*all_scores, *scores]
        return keys, np.array(all_scores)

    def know(
        self,
        keys: list[str],
        labels: Iterable[Any],
        *,
        day: date = date(2026, 3, 5),
        known_at: datetime = NOW - timedelta(days=1),
    ) -> None:
        """Put outcomes into the table of valid rows."""
        window = Window(day, day + timedelta(days=1))
        times = pa.array([known_at] * len(keys), pa.timestamp("us", "UTC"))
        columns = {"id": pa.array(keys, pa.string()), "late": pa.array([bool(label) for label in labels]), "known_at": times}
        self.context().table("valid").replace(window, pa.table(columns | {"_day": pa.array([str(day)] * len(keys))}))


def auc_of(labels: npt.NDArray[np.bool_], scores: Floats) -> float:
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(labels, scores))


@pytest.fixture
def empty(database, tmp_path, monkeypatch):
    """A problem without a champion; there is no MLflow, and nobody waits for it."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    url = database("monitor")
    migrate(url)
    return World(tmp_path, url, Problem.model_validate(tomllib.loads(PROBLEM)))


@pytest.fixture
def world(empty):
    empty.make_champion()
    return empty


def found(record: Monitored, subject: str) -> DriftFinding:
    return next(finding for finding in record.findings if finding.subject == subject)


def said(record: Monitored) -> dict[str, str]:
    """The verdicts on what this champion's evaluation, which kept neither days nor importance, says something about."""
    return {kind: verdict for kind, verdict in record.verdicts.items() if kind in ("data", "prediction", "concept", "schema")}


def test_a_quiet_week_shows_no_drift_of_any_kind(world):
    keys, scores = world.serve_days(range(6))
    world.know(keys, outcomes(scores, 5))
    record = monitor.run(world.context())
    assert said(record) == {"data": "no drift", "prediction": "no drift", "concept": "no drift", "schema": "no drift"}
    assert (record.num_requests, record.num_labelled, record.version) == (NIGHT, 6 * NIGHT, 3)
    assert record.valid_version == world.context().table("valid").version
    assert not [finding.sentence for finding in record.findings if finding.drifted]
    assert not record.retrain and world.ledger.due("flights", "retrain") == []


def test_a_shifted_day_is_data_and_prediction_drift_and_names_the_columns(world):
    world.serve_days([0], shift=1.5)
    record = monitor.run(world.context())
    assert said(record) == {"data": "drift", "prediction": "drift", "concept": "not assessable", "schema": "drift"}
    moved = {finding.subject for finding in record.findings if finding.drifted and finding.kind == "data"}
    assert moved == {"carrier", "distance", "humidity", "wind", "remark"}
    assert record.verdicts["hurting"] == "not assessable" and not record.retrain, "the evaluation tells no importance"
    latest = Monitored.model_validate(world.context().store.read_json(Monitored.latest))
    assert latest.verdicts == record.verdicts
    assert {finding.sentence for finding in latest.findings} == {""}, "they quote values of requests"


def test_flipped_outcomes_ask_for_exactly_one_retrain_however_often_it_runs(world):
    keys, scores = world.serve_days(range(6))
    world.know(keys, outcomes(scores, 5, flipped=True))
    records = [monitor.run(world.context(key)) for key in ("monitor-1", "monitor-1", "monitor-2")]
    assert records[0] == records[1]
    assert all(record.verdicts["concept"] == "drift" and record.retrain for record in records)
    (work,) = world.ledger.due("flights", "retrain")
    assert work.key == "v3-2026-03-10" and work.body["run_key"] == "monitor-1"
    assert {finding["subject"] for finding in work.body["findings"]} == {"auc", "calibration", "calibration slope"}
    assert not [finding for finding in work.body["findings"] if "sentence" in finding], "it may quote values of requests"
    assert len([entry for entry in world.ledger.entries("flights") if entry.kind == "retrain_asked"]) == 1


def test_within_the_cooldown_no_other_retrain_is_asked_and_after_it_one_is(world):
    keys, scores = world.serve_days(range(6))
    world.know(keys, outcomes(scores, 5, flipped=True))
    assert monitor.run(world.context("first")).retrain
    world.moment = NOW + timedelta(days=1)
    second = monitor.run(world.context("second"))
    assert second.verdicts["concept"] == "drift" and not second.retrain and "cooldown is 7 days" in second.reason
    assert len(world.ledger.due("flights", "retrain")) == 1
    world.moment = NOW + timedelta(days=8)
    later, scores = world.serve_days(range(6))
    world.know(later, outcomes(scores, 6, flipped=True), day=date(2026, 3, 14), known_at=world.moment - timedelta(hours=1))
    assert monitor.run(world.context("third")).retrain
    assert [work.key for work in world.ledger.due("flights", "retrain")] == ["v3-2026-03-10", "v3-2026-03-18"]


def test_a_run_killed_between_ledger_and_work_asks_when_it_runs_again_after_midnight(world, monkeypatch):
    keys, scores = world.serve_days(range(6))
    world.know(keys, outcomes(scores, 5, flipped=True))
    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "ask", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            monitor.run(world.context())
    assert world.ledger.due("flights", "retrain") == []
    world.moment = NOW + timedelta(hours=13)
    assert monitor.run(world.context()).retrain
    assert [work.key for work in world.ledger.due("flights", "retrain")] == ["v3-2026-03-10"]


def test_a_retrain_that_was_done_is_not_announced_again(world):
    keys, scores = world.serve_days(range(6))
    world.know(keys, outcomes(scores, 5, flipped=True))
    monitor.run(world.context("first"))
    world.ledger.done(world.ledger.due("flights", "retrain")[0], "retrained")
    again = monitor.run(world.context("again"))
    assert not again.retrain and "done already" in again.reason and world.ledger.due("flights", "retrain") == []


def test_a_dry_run_asks_for_nothing(world):
    keys, scores = world.serve_days(range(6))
    world.know(keys, outcomes(scores, 5, flipped=True))
    record = monitor.run(world.context(dry_run=True))
    assert record.verdicts["concept"] == "drift" and not record.retrain
    assert world.ledger.due("flights", "retrain") == [] and len(world.ledger.entries("flights")) == 1


def test_a_rerun_keeps_its_window(world):
    world.serve_days([0])
    first = monitor.run(world.context())
    world.moment = NOW + timedelta(days=3)
    assert monitor.run(world.context()) == first


def test_a_request_served_at_the_very_moment_counts_because_a_replayed_clock_stands_still(world):
    rows, scores = draw(NIGHT, 9)
    world.serve(rows, scores, [f"k{n}" for n in range(NIGHT)], NOW)
    assert monitor.run(world.context()).num_requests == NIGHT


def test_without_champion_requests_or_run_folder_the_answer_is_not_assessable(empty):
    record = monitor.run(empty.context("none"))
    assert set(record.verdicts.values()) == {"not assessable"} and "no champion" in record.reason
    empty.make_champion()
    empty.serve_days([0], size=150)
    few = monitor.run(empty.context("few"))
    assert set(few.verdicts.values()) == {"not assessable"} and "150 requests, fewer than" in few.reason
    empty.context("made").file("rows.parquet").unlink()
    gone = monitor.run(empty.context("gone"))
    assert set(gone.verdicts.values()) == {"not assessable"} and "rows.parquet is missing" in gone.reason
    for key in ("none", "few", "gone"):
        assert "not assessable" in monitor.report(empty.context(key)).read_text()


def test_answers_of_other_versions_are_counted_and_not_judged(world):
    world.serve_days([0])
    rows, scores = draw(NIGHT, 8, shift=3)
    world.serve(rows, scores, [f"old{n}" for n in range(NIGHT)], NOW - timedelta(hours=2), version=2)
    record = monitor.run(world.context())
    assert record.num_requests == NIGHT and record.verdicts["data"] == "no drift"
    assert f"{NIGHT} answered by another version" in record.reason


def test_each_key_counts_once_by_its_earliest_answer_and_only_with_a_label_known_by_now(world):
    keys, scores = world.serve_days([2])
    labels = outcomes(scores, 5)
    rows, _ = draw(NIGHT, 8)
    world.serve(rows, 1 - scores, keys, NOW - timedelta(hours=1))  # the same keys again, with opposite answers
    world.serve(rows[:7], scores[:7], [None] * 7, NOW - timedelta(hours=1))
    world.know(keys[:300], labels[:300])
    world.know(keys[300:], labels[300:], day=date(2026, 3, 6), known_at=NOW + timedelta(hours=1))
    record = monitor.run(world.context())
    assert record.num_labelled == 300
    assert found(record, "auc").value == pytest.approx(auc_of(labels[:300], scores[:300]))
    for said in (f"{NIGHT} repeated keys", "7 answers without a key", f"{NIGHT - 300} answers still waiting for a label"):
        assert said in record.reason


def test_an_answer_without_a_key_counts_once_by_the_feedback_on_its_request(world):
    keys, scores = world.serve_days([2])
    world.know(keys, outcomes(scores, 5))
    rows, others = draw(300, 8)
    world.serve(rows, others, [None] * 300, NOW - timedelta(days=2))
    request = f"{(NOW - timedelta(days=2)).isoformat()}-3-None"
    truth = outcomes(others, 9)
    told = [
        labels.Label(None, bool(label), "feedback", by, NOW - timedelta(days=1), request_id=request, position=place)
        for place, label in enumerate(truth[:250])
        for by in ("anna", "ben")  # said twice, it counts once
    ]
    labels.add(world.context(), told, by="feedback")
    record = monitor.run(world.context())
    assert record.num_labelled == NIGHT + 250
    live = auc_of(np.concatenate([outcomes(scores, 5), truth[:250]]), np.concatenate([scores, others[:250]]))
    assert found(record, "auc").value == pytest.approx(live)
    assert "50 answers still waiting for a label" in record.reason and "without a key" not in record.reason


def test_labels_that_are_all_the_same_leave_quality_open_and_still_judge_the_rate(world):
    keys, _ = world.serve_days([1])
    world.know(keys, [True] * NIGHT)
    record = monitor.run(world.context())
    assert found(record, "auc").drifted is None and "all 400 known labels are the same" in found(record, "auc").sentence
    assert found(record, "calibration").drifted and record.verdicts["concept"] == "drift"
    assert monitor.report(world.context()).exists()


def test_missing_all_null_and_newer_columns_are_handled_and_named(world):
    rows, scores = draw(NIGHT, 9)
    for number, row in enumerate(rows):
        row["humidity"] = None
        if number % 4:
            del row["wind"]
        del row["remark"]
    world.serve(rows, scores, [f"k{n}" for n in range(NIGHT)], NOW - timedelta(hours=1))
    record = monitor.run(world.context())
    assert found(record, "humidity").drifted and "missing 100.0% against" in found(record, "humidity").sentence
    assert found(record, "wind").drifted is None and "only 100 of 400 requests hold it" in found(record, "wind").sentence
    assert found(record, "remark").drifted is None and "only 0 of 400" in found(record, "remark").sentence
    page = monitor.report(world.context()).read_text()
    assert "Not compared, and not in the charts: wind, remark." in page


def test_a_column_that_was_always_null_does_not_break_anything(empty):
    empty.make_champion(rows=lambda rows: [row | {"humidity": None, "carrier": None} for row in rows])
    empty.serve_days([0])
    record = monitor.run(empty.context())
    assert found(record, "humidity").drifted and found(record, "carrier").drifted
    assert monitor.report(empty.context()).stat().st_size > 1_000_000


def test_the_sample_of_the_champions_rows_is_bounded_and_the_same_every_time(world, monkeypatch):
    monkeypatch.setattr(evidence, "LEARNED_ROWS", 500)
    monkeypatch.setattr(evidence, "choose", lambda size, most=sample.MOST: np.arange(size)[:: max(1, size // most)][:most])
    learned = evidence.read_reference(world.context("made")).columns["distance"]
    rows = pq.read_table(world.context("made").file("rows.parquet"))["distance"].to_pylist()
    assert learned.to_pylist() == rows[:5000:10]


def test_only_the_sampled_requests_are_read_whole_and_they_are_the_ones_that_were_answered(world):
    world.serve_days([0, 1])
    span = world.url, "flights", world.moment - timedelta(days=2), world.moment
    whole, without = requests.read(*span), requests.read(*span, rows=False)
    assert whole.num_rows == 2 * NIGHT and without["row"].null_count == 2 * NIGHT
    chosen = pa.array([700, 3, 401])
    assert requests.rows_of(*span[:2], without.take(chosen)) == whole["row"].take(chosen).to_pylist()
    assert requests.rows_of(*span[:2], without.slice(0, 0)) == []


def test_the_sample_has_a_fixed_seed_and_no_row_twice():
    chosen = sample.choose(100_000)
    assert len(set(chosen.tolist())) == sample.MOST and (chosen == sample.choose(100_000)).all()
    assert (sample.choose(7) == np.arange(7)).all()


def test_values_that_do_not_fit_their_type_make_a_column_incomparable():
    features = Problem.model_validate(tomllib.loads(PROBLEM)).features
    texts = [json.dumps({"distance": value, "departs": "2026-03-01T10:00:00"}) for value in (1.0, "far")]
    columns, absent = evidence.typed_rows(texts, features)
    assert columns == {} and "no number" in absent["distance"] and "has no offset" in absent["departs"]
    assert set(absent) == set(features)


def test_json_numbers_that_are_none_are_read():
    feature = Problem.model_validate(tomllib.loads(PROBLEM)).features
    columns, _ = evidence.typed_rows(['{"distance": NaN}', '{"distance": Infinity}', '{"distance": 3}'], feature)
    assert columns["distance"].type == ARROW_TYPES["number"] and columns["distance"][2].as_py() == 3.0


@pytest.fixture
def browse():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        yield browser.new_page(viewport={"width": 1300, "height": 1600})
        browser.close()


def test_the_page_opens_in_a_browser_and_a_value_cannot_become_a_script(empty, browse):
    attack = "</script><script>document.title='owned'</script><img src=x onerror=document.title='owned'>"
    empty.make_champion(rows=lambda rows: [row | {"carrier": attack} if row["carrier"] == "B6" else row for row in rows])
    keys, scores = empty.serve_days(range(4), shift=1.0)
    empty.know(keys, outcomes(scores, 5))
    rows, scores = draw(NIGHT, 3)
    empty.serve([row | {"carrier": attack + "2"} for row in rows], scores, [f"a{n}" for n in range(NIGHT)], NOW)
    monitor.run(empty.context())
    page = monitor.report(empty.context())
    errors = []
    browse.on("pageerror", lambda error: errors.append(error))
    browse.goto(page.as_uri())
    browse.get_by_text("Drift in column 'distance'").first.wait_for(timeout=60_000)
    browse.get_by_text("Answers with known labels against the evaluation").first.wait_for(timeout=60_000)
    browse.locator(".js-plotly-plot .bars .point").first.wait_for(timeout=60_000)
    assert browse.title() != "owned" and errors == []
    distance = browse.locator(".js-plotly-plot", has=browse.locator(".bars .point")).nth(1)
    ticks = distance.locator(".xtick text").all_text_contents()
    assert len(ticks) == 10 and ticks == sorted(ticks) and ticks[0].startswith("01 below")
    assert distance.locator(".bars .point").count() == 20 and distance.locator(".ytitle").text_content() == "Percent"
    assert browse.get_by_text("not seen in training").count() > 0
    browse.screenshot(path=str(page.with_suffix(".png")), full_page=True)
