"""The blast radius of a batch against a brute-force answer on random histories; the way back of a bad one, whole."""

import json
from contextlib import closing
from dataclasses import replace
from datetime import UTC, timedelta
from pathlib import Path

import numpy as np
import psycopg2
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from ml import database as databases
from ml import evaluate, exclusions, lineage, marks, past, prepare, promote
from ml.errors import ConfigError, DataError, RefusedError
from ml.labels import known_labels
from tests.integration.history_kit import FIRST, START, History, day, make_context, span
from tests.integration.serving_kit import Service, running, score_of

DAYS = 9


@pytest.fixture
def context(tmp_path, state, mlflow_file):
    return make_context(tmp_path, state, MLFLOW_URL=mlflow_file)


@pytest.fixture
def history(context):
    return History(context)


def random_history(context, seed):
    """Runs over overlapping windows, some late, some cut short; promotions, rollbacks, requests."""
    made = History(context, seed)
    random, waiting = made.random, []
    for number in range(7):
        first = int(random.integers(0, DAYS - 1))
        window = span(first, int(random.integers(first + 1, min(first + 5, DAYS) + 1)))
        for one in window:
            if (one - FIRST).days not in made.source or random.random() < 0.3:
                made.deliver((one - FIRST).days)
        run_key = f"run-{number}"
        made.ingest(run_key, window)
        if random.random() < 0.25:  # validated only after the next run has read and written the same days
            waiting.append(run_key)
            continue
        for key in [run_key, *waiting]:
            finish(made, key)
        waiting = []
    return made


def finish(made, run_key):
    random = made.random
    if random.random() < 0.15:
        return
    made.validate(run_key)
    if random.random() < 0.15:
        return
    made.prepare(run_key, memory=int(random.integers(2, 8)))
    if random.random() < 0.2:
        return
    version = made.train(run_key)
    if random.random() < 0.7:
        made.move(version)
    standing = made.ledger.succession(made.context.problem.name)
    if len(standing) > 1 and random.random() < 0.3:
        made.move(standing[-2].version, "rollback")
    for _ in range(int(random.integers(0, 4))):
        answering = int(random.choice(list(made.versions)))
        made.serve(answering, START + timedelta(minutes=int(random.integers(0, 20_000))), int(random.integers(1, 4)))


def brute_force(made, window, raw_version):
    """The same answer from the rows themselves: snapshots, tables and databases, no records and no logs of tables."""
    context = made.context
    held = context.table("raw").read(window, version=raw_version) if raw_version is not None else None
    batches = set(zip(held["_day"].to_pylist(), held["carrier"].to_pylist(), strict=True)) if held is not None else None
    models = {}
    for path in Path(context.store.location("runs")).glob("*/rows.parquet"):
        for row in pq.read_table(path).to_pylist():
            inside = str(window.start) <= row["_day"] < str(window.end)
            if inside and (batches is None or (row["_day"], row["carrier"]) in batches):
                counts = models.setdefault(path.parent.name, {})
                counts[row["_part"]] = counts.get(row["_part"], 0) + 1
    versions = {version for version, run_key in made.versions.items() if run_key in models}
    with closing(psycopg2.connect(context.settings.database_url)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT id, kind, version FROM ledger WHERE problem = %s ORDER BY id", (context.problem.name,))
        entries = [row for row in cursor.fetchall() if row[2] in versions]
        cursor.execute(
            "SELECT request_id, position, version, served_at FROM request_log WHERE problem = %s", (context.problem.name,)
        )
        served = {row for row in cursor.fetchall() if row[2] in versions}
    return {
        "models": models,
        "versions": versions,
        "moves": [number for number, kind, _ in entries if kind in ("promote", "rollback")],
        "deployments": [number for number, kind, _ in entries if kind == "deployed"],
        "served": served,
    }


def answer(context, window, raw_version, out):
    blast = lineage.blast_radius(context, window, raw_version=raw_version)
    lineage.write_served(context, blast, out)
    listed = pyarrow.csv.read_csv(out).to_pylist()
    served = {(row["request_id"], row["position"], row["version"], row["served_at"].astimezone(UTC)) for row in listed}
    assert blast.num_served == len(served) == len(listed)
    times = [row[3] for row in served]
    if times:
        assert min(one.first for one in blast.served.values()) == min(times)
        assert max(one.last for one in blast.served.values()) == max(times)
    return {
        "models": {model.run_key: model.parts for model in blast.models},
        "versions": set(blast.versions),
        "moves": [entry.id for entry in blast.moves],
        "deployments": [entry.id for entry in blast.deployments],
        "served": served,
    }


@pytest.mark.parametrize("seed", [0, 1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 10))])
def test_every_model_move_and_answer_is_named_as_by_brute_force(tmp_path, context, seed):
    made = random_history(context, seed)
    raw, random = made.context.table("raw"), np.random.default_rng(1000 + seed)
    parted = 0
    for first in range(DAYS):
        window = span(first, first + int(random.integers(1, 3)))
        held = [version for version in range(raw.version + 1) if raw.num_rows(window, version=version)]
        for raw_version in (None, *random.permutation(held)[:3].tolist()):
            expected = brute_force(made, window, raw_version)
            assert answer(made.context, window, raw_version, tmp_path / "served.csv") == expected, (window, raw_version)
            parted += 0 < len(expected["models"]) < len([run for run in past.runs(made.context) if run.prepared])
    assert parted > 0


def test_a_model_is_touched_only_by_the_version_of_the_day_that_it_saw(history):
    history.deliver(0), history.deliver(1)
    first = history.night("good", span(0, 2))
    history.deliver(1)
    second = history.night("bad", span(1, 2))
    context = history.context
    bad = context.table("raw").version
    assert lineage.blast_radius(context, span(1, 2), raw_version=bad).versions == (second,)
    assert lineage.blast_radius(context, span(1, 2), raw_version=0).versions == (first,)
    assert lineage.blast_radius(context, span(1, 2)).versions == (first, second)
    assert lineage.blast_radius(context, span(0, 1), raw_version=bad).versions == (first, second)
    with pytest.raises(DataError, match="holds no rows of 2013-01-06"):
        lineage.blast_radius(context, span(5, 6), raw_version=bad)


def test_a_batch_stays_the_same_when_a_person_was_erased_from_it(history):
    history.deliver(0), history.deliver(1)
    history.night("before", span(0, 2))
    raw = history.context.table("raw")
    raw.rewrite([day(0)], lambda rows: pa.compute.not_equal(rows["id"], "0-3"), note={"stage": "erase", "run_key": "e"})
    history.deliver(1)
    history.ingest("later", span(1, 2))
    for raw_version in (0, 1, 2):
        assert lineage.blast_radius(history.context, span(0, 1), raw_version=raw_version).versions == (1,)
    assert lineage.blast_radius(history.context, span(1, 2), raw_version=2).versions == ()


def test_a_version_whose_snapshot_is_gone_is_named_as_unknown(history):
    history.deliver(0)
    history.night("kept", span(0, 1))
    history.night("cleaned", span(0, 1))
    history.context.store.delete("runs/cleaned/rows.parquet")
    blast = lineage.blast_radius(history.context, span(0, 1))
    assert (blast.versions, blast.unknown) == ((1,), (2,))


def test_from_a_prediction_back_to_run_rows_and_code(history):
    for number in range(4):
        history.deliver(number)
    history.night("one", span(0, 3))
    version = history.night("two", span(2, 4))
    history.move(version)
    request_id = history.serve(version, START)
    found = lineage.of_prediction(history.context, request_id)
    assert len(found.rows) == 2
    about = found.version
    assert (about.version, about.run_key, about.raw_version, about.valid_version) == (2, "two", 1, 1)
    assert about.sources == {0: [day(0), day(1)], 1: [day(2), day(3)]}
    assert (about.code_version, about.intact, about.served) == ("git:abc", True, 2)
    assert [line.split(" UTC ")[1] for line in about.decisions] == ["promote by tests", "deployed by deploy"]
    (Path(history.context.store.location("runs/two/rows.parquet"))).write_bytes(b"changed")
    assert lineage.of_version(history.context, version).intact is False
    with pytest.raises(DataError, match="has no request 'nobody'"):
        lineage.of_prediction(history.context, "nobody")
    with pytest.raises(DataError, match="Versions: 1, 2"):
        lineage.of_version(history.context, 9)


def excluded_by(history, window, **options):
    blast = lineage.blast_radius(history.context, window)
    made = lineage.plan(history.context, blast, **options)
    lineage.exclude(history.context, made, actor="cli:anna", why="the feed sent cents")
    return made


def test_an_excluded_day_is_left_out_of_the_next_snapshot_and_comes_back(history, monkeypatch):
    for number in range(12):
        history.deliver(number)
    history.ingest("night", span(0, 12))
    history.validate("night")
    split = history.context.problem.split.model_copy(update={"validation_days": 2, "test_days": 3, "minimum_rows": 5})
    context = replace(history.run("night"), problem=history.context.problem.model_copy(update={"split": split}))
    whole = prepare.run(context)
    assert (whole.excluded, whole.num_excluded) == ((), 0)
    excluded_by(history, span(3, 5))
    without = prepare.run(context)
    assert (without.excluded, without.num_excluded) == ((day(3), day(4)), 36)
    days = set(pq.read_table(context.file("rows.parquet"))["_day"].to_pylist())
    assert days == {str(day(number)) for number in range(12)} - {str(day(3)), str(day(4))}
    assert lineage.include(history.context, span(3, 4), actor="cli:anna", why="mended") == (day(3),)
    assert exclusions.days(context) == (day(4),)
    assert prepare.run(context).num_excluded == 18
    lineage.include(history.context, span(4, 5), actor="cli:anna", why="mended")
    assert prepare.run(context) == whole
    kinds = [entry.kind for entry in history.ledger.entries(context.problem.name)]
    assert kinds == ["batch_excluded", "batch_included", "batch_included"]


def test_labels_of_an_excluded_day_say_nothing_about_the_champion(history):
    history.deliver(0), history.deliver(1)
    history.night("night", span(0, 2))
    asked = pa.array(["0-1", "1-1"]), START, START + timedelta(days=5)
    assert set(known_labels(history.context, *asked)) == {"0-1", "1-1"}
    excluded_by(history, span(1, 2))
    assert set(known_labels(history.context, *asked)) == {"0-1"}


def test_a_snapshot_frozen_before_a_day_was_taken_out_is_not_judged(history):
    for number in range(6):
        history.deliver(number)
    history.night("night", span(0, 6))
    excluded_by(history, span(2, 3))
    with pytest.raises(DataError, match="2013-01-03 was excluded after this run froze its rows"):
        evaluate.run(history.run("night"))


def test_the_retrain_is_due_the_night_is_not_skipped_and_a_pending_promotion_is_withdrawn(history):
    name = history.context.problem.name
    history.deliver(0)
    clean = history.night("clean", span(0, 1))
    history.move(clean)
    history.deliver(1)
    touched = history.night("touched", span(1, 2))
    history.ledger.ask(name, "promote", "touched", {"version": touched, "run_key": "touched"})
    history.context.store.write_json(marks.LEARNED, {"raw_version": 1, "run_key": "touched"})
    made = excluded_by(history, span(1, 2))
    assert made.target is None
    assert history.ledger.due(name, "promote") == []
    assert not history.context.store.exists(marks.LEARNED)
    (work,) = history.ledger.due(name, "retrain")
    assert work.body["excluded"] == ["2013-01-02"]
    with pytest.raises(RefusedError, match=r"learned from days that were excluded since .*the feed sent cents"):
        promote._move(history.context, history.ledger, promote.Asked(history.champion(touched), clean, "k", "t", {}))
    lineage.include(history.context, span(1, 2), actor="cli:anna", why="it was right")
    assert history.ledger.due(name, "retrain") == []
    assert exclusions.tainted(history.ledger.entries(name), "touched") == {}


def test_without_a_clean_champion_nothing_is_moved_but_the_days_may_be_excluded(history):
    history.deliver(0)
    for run_key in ("one", "two"):
        history.move(history.night(run_key, span(0, 1)))
    blast = lineage.blast_radius(history.context, span(0, 1))
    with pytest.raises(RefusedError, match=r"touched every champion there was \(1, 2\)"):
        lineage.plan(history.context, blast)
    assert exclusions.days(history.context) == ()
    assert excluded_by(history, span(0, 1), stay=True).target is None
    assert exclusions.days(history.context) == (day(0),)


def test_days_that_are_yet_to_come_cannot_be_undone(history):
    history.deliver(0)
    history.night("one", span(0, 1))
    blast = replace(lineage.blast_radius(history.context, span(0, 1)), window=span(400, 401))
    with pytest.raises(ConfigError, match="days after today"):
        lineage.plan(history.context, blast)


@pytest.fixture(scope="module")
def service(database, tmp_path_factory):
    made = Service(tmp_path_factory.mktemp("undo"), database("undo"))
    databases.migrate(made.database_url)
    made.clock.write_text(START.isoformat())
    return made


def command(*arguments):
    from ml.cli.app import app

    return CliRunner().invoke(app, ["lineage", *arguments], catch_exceptions=False)


def test_undo_rolls_back_serves_the_clean_champion_and_offers_what_it_would_have_said(service, monkeypatch, tmp_path):
    context = make_context(service.home, service.database_url, SERVING_URL=service.url, SERVING_TOKEN=service.token)
    for key, value in {**service.environment(), "EVERGREEN_MLFLOW_URL": context.settings.mlflow_url}.items():
        monkeypatch.setenv(key, value)
    history, name = History(context), context.problem.name

    def champion():
        now = history.ledger.champion(name)
        return now and now.version

    for number in range(4):
        history.deliver(number)
    oldest = history.night("night-1", span(0, 2), model=True)
    clean = history.night("night-2", span(1, 2), model=True)
    bad = history.night("night-3", span(2, 4), model=True)
    for version in (oldest, clean, bad):
        history.move(version)
    with running(service):
        from ml import deploy
        from ml.registry import Registry

        client = Registry(context.settings.mlflow_url)._client
        client.create_registered_model(name)
        for version in (oldest, clean, bad):
            client.create_model_version(name, source=f"/{version}", tags={"run_key": history.versions[version]})
        deploy.run(context)
        rows = [{"carrier": "UA", "distance": 100.0 * number} for number in range(5)]
        asked = service.predict(name, rows).json()
        assert asked["version"] == bad
        service.wait_logged()

        ask = ("batch", "2013-01-03", "-p", name)
        told = command(*ask)
        assert told.exit_code == 0
        assert f"night-3 (version {bad})" in told.output
        assert "Served predictions: 5" in told.output
        assert "Dry run: nothing was done" in command(*ask, "--undo", "--why", "cents", "--dry-run").output
        assert champion() == bad

        done = command(*ask, "--undo", "--why", "cents")
        assert f"roll back from version {bad} to version {clean} and deploy it" in done.output
        assert champion() == clean
        again = service.predict(name, rows).json()
        assert again["version"] == clean
        assert [one["score"] for one in again["predictions"]] == pytest.approx([score_of(clean, row) for row in rows], abs=1e-6)
    assert exclusions.days(context) == (day(2),)
    assert [work.body["excluded"] for work in history.ledger.due(name, "retrain")] == [["2013-01-03"]]

    out = tmp_path / "rescored.parquet"
    told = json.loads(command(*ask, "--rescore", "--out", str(out), "--json").output)
    found = pq.read_table(out).to_pylist()
    assert told == {
        "version": clean,
        "num_rows": 5,
        "num_flipped": sum(row["flipped"] for row in found),
        "num_not": 0,
        "file": str(out),
    }
    assert [row["old_score"] for row in found] == [one["score"] for one in asked["predictions"]]
    assert [row["new_score"] for row in found] == pytest.approx([score_of(clean, row) for row in rows], abs=1e-6)
    assert [row["flipped"] for row in found] == [row["old_decision"] != row["new_decision"] for row in found]
    assert {(row["old_version"], row["new_version"]) for row in found} == {(bad, clean)}

    assert command(*ask, "--include", "--why", "mended").exit_code == 0
    assert exclusions.days(context) == ()
