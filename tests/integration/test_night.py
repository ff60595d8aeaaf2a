"""One night stage by stage on real flights, without Airflow: counts, reruns, stops, and what a broken batch leaves."""

import json
from contextlib import closing
from datetime import date, datetime

import psycopg2
import pytest

from ml import evaluate, gate, ingest, marks, prepare, samples, train, validate
from ml.context import open_run
from ml.errors import ConfigError, DataError
from ml.ledger import Champion, Ledger
from ml.records import Evaluated, Ingested, Prepared, Trained, Validated
from ml.settings import PROJECT
from ml.window import Window
from tests.integration.flights_kit import NEXT, restore

STAGES = (ingest, validate, prepare, train, evaluate, gate)


@pytest.fixture
def home(home, production):
    """As in conftest, with flights that no test has broken."""
    restore(production)
    return home


def night(key="night", **options):
    return open_run("flights", key, **options)


def execute(url: str, statement: str) -> int:
    with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.rowcount


def test_a_night_from_rows_to_verdict_and_again(home, production):
    context = night(reason="schedule")
    first = {stage.__name__: stage.run(context).model_dump(mode="json") for stage in STAGES}
    ingested, validated = context.record(Ingested), context.record(Validated)
    with closing(psycopg2.connect(production)) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM flights WHERE sched_dep >= '2013-01-01 America/New_York'"
            " AND sched_dep < '2013-02-01 America/New_York'"
        )
        assert cursor.fetchone() == (ingested.num_rows,)
    assert validated.num_valid + validated.num_quarantined == ingested.num_rows > 20_000
    assert first["ml.gate"]["decision"] in ("promote", "reject")
    # every stage says which data it stood on
    assert first["ml.validate"]["raw_version"] == ingested.version
    assert first["ml.prepare"]["valid_version"] == first["ml.evaluate"]["valid_version"] == validated.version
    assert first["ml.train"]["rows_digest"] == first["ml.evaluate"]["rows_digest"] == context.record(Prepared).rows_digest

    versions = [context.table(name).version for name in ("raw", "valid", "quarantine")]
    files = {path: path.stat().st_mtime_ns for path in context.file(".").rglob("*") if path.is_file()}
    again = {stage.__name__: stage.run(context).model_dump(mode="json") for stage in STAGES}
    assert again == first
    assert [context.table(name).version for name in ("raw", "valid", "quarantine")] == versions
    assert {path: path.stat().st_mtime_ns for path in context.file(".").rglob("*") if path.is_file()} == files

    other = night("other")
    for stage in (ingest, validate, prepare, train):
        stage.run(other)
    assert other.record(Prepared).rows_digest == context.record(Prepared).rows_digest
    assert other.record(Trained).validation_loss == context.record(Trained).validation_loss  # to the last bit

    marks.mark_learned(context, ingested.version, validated.version)  # as register does at the end of a real night
    same_night = night("scheduled-again", reason="schedule")
    assert "exactly those that the last verdict was about" in (ingest.nothing_new(ingest.run(same_night), same_night) or "")
    by_hand = night("by-hand", reason="manual")
    assert ingest.nothing_new(ingest.run(by_hand), by_hand) is None


def test_next_night_reads_the_new_day_and_the_labels_that_came(home, production):
    for stage in (ingest, validate):
        stage.run(night())
    samples.advance("flights", production, datetime.fromisoformat(NEXT))
    (home / "clock").write_text(NEXT)
    context = night("next", reason="schedule")
    ingested = ingest.run(context)
    assert ingested.window == Window(date(2013, 1, 29), date(2013, 2, 2))
    assert ingest.nothing_new(ingested, context) is None
    validate.run(context)
    label = "late_15"
    before = context.table("valid").read(Window.parse("2013-01-31"), columns=[label], version=0)
    after = context.table("valid").read(Window.parse("2013-01-31"), columns=[label])
    assert before[label].null_count == before.num_rows
    assert after[label].null_count < after.num_rows / 10


def test_bad_rows_are_set_aside_with_their_reason_and_nothing_is_lost(home, production):
    bad = execute(
        production, "UPDATE flights SET distance = -distance WHERE flight_id IN (SELECT flight_id FROM flights LIMIT 200)"
    )
    context = night()
    ingested, validated = ingest.run(context), validate.run(context)
    quarantined = context.table("quarantine").read(ingested.window)
    assert validated.num_quarantined >= bad > 0
    assert validated.num_valid + validated.num_quarantined == ingested.num_rows
    assert sum(any("distance" in rule for rule in rules) for rules in quarantined["_rules"].to_pylist()) >= bad


def test_a_broken_feed_stops_at_validate_with_its_rows_kept_and_goes_on_once_mended(home, production, monkeypatch):
    """With a contract that only tells: one that stops would have met the feed before (see test_ingest)."""
    text = (PROJECT / "ml" / "problems" / "flights.toml").read_text()
    (home / "flights.toml").write_text(f"{text}\n[contract]\nstop = false\n")
    monkeypatch.setenv("EVERGREEN_PROBLEMS", str(home))
    for stage in (ingest, validate):
        stage.run(night())
    samples.advance("flights", production, datetime.fromisoformat(NEXT))
    (home / "clock").write_text(NEXT)
    execute(production, "UPDATE flights SET carrier = NULL WHERE sched_dep >= '2013-02-01 America/New_York'")
    context = night("next", reason="schedule")
    ingested = ingest.run(context)
    before = context.table("valid").version
    with pytest.raises(DataError, match=r"max_quarantined_share.*carrier"):
        validate.run(context)
    assert context.table("valid").version == before
    assert context.table("raw").read(ingested.window).num_rows == ingested.num_rows
    assert json.loads(context.file("validation.json").read_text())
    with pytest.raises(DataError, match="Run that stage first"):
        prepare.run(context)

    retry = night("retry", reason="schedule")
    again = ingest.run(retry)
    assert again.window == ingested.window
    assert ingest.nothing_new(again, retry) is None  # the rows did not change, but nobody has learned from them yet


def test_a_missing_day_and_an_empty_window_are_different_things(home, production):
    execute(
        production, "DELETE FROM flights WHERE sched_dep BETWEEN '2013-01-10 America/New_York' AND '2013-01-11 America/New_York'"
    )
    context = night()
    ingest.run(context)
    with pytest.raises(DataError, match="every day of the window has rows: no rows on 2013-01-10"):
        validate.run(context)
    nothing = night("nothing", window="2012-01-01/2012-02-01")
    assert "no rows in flights between 2012-01-01 and 2012-02-01" in (ingest.nothing_new(ingest.run(nothing), nothing) or "")


def test_a_new_feature_is_read_for_all_of_history(home, production, monkeypatch):
    for stage in (ingest, validate):
        stage.run(night())
    text = (PROJECT / "ml" / "problems" / "flights.toml").read_text()
    (home / "flights.toml").write_text(text.replace("[features]", '[features]\ndewp = { type = "number" }'))
    monkeypatch.setenv("EVERGREEN_PROBLEMS", str(home))
    context = night("wider", reason="schedule")
    ingested = ingest.run(context)
    assert ingested.window == Window(date(2012, 12, 3), date(2013, 2, 1))  # the whole memory, [split] train_days
    validate.run(context)
    dew_points = context.table("valid").read(ingested.window)["dewp"]
    assert dew_points.null_count < len(dew_points) / 100


def test_a_window_read_by_hand_leaves_no_gap_behind(home, production):
    """The first run ever is by hand, for one day: the first night still reads all of history."""
    for stage in (ingest, validate):
        stage.run(night("one-day", window="2013-01-30"))
    assert ingest.run(night("first-night", reason="schedule")).window == Window(date(2013, 1, 1), date(2013, 2, 1))


def test_a_dry_run_does_not_make_the_night_skip(home, production):
    for stage in STAGES[:2]:
        stage.run(night("dry", dry_run=True))
    context = night("night", reason="schedule")
    assert ingest.nothing_new(ingest.run(context), context) is None


def test_a_run_is_about_one_window(home, production):
    ingest.run(night("mine", window="2013-01-30"))
    with pytest.raises(ConfigError, match="Start another run"):
        ingest.run(night("mine", window="2013-01-29"))


@pytest.mark.slow
def test_a_column_that_the_champion_needs_is_read_on(home, production, monkeypatch):
    """The problem file drops a feature: champion and candidate are still compared on the same rows."""
    context = night()
    for stage in STAGES:
        stage.run(context)
    digest_ = context.record(Trained).model_digest
    ledger = Ledger(context.settings.database_url)
    ledger.move("flights", to=Champion(1, "night", digest_), expected=None, kind="promote", key="night", actor="test")
    text = (PROJECT / "ml" / "problems" / "flights.toml").read_text()
    (home / "flights.toml").write_text(text.replace('wind_gust = { type = "number" }', ""))
    monkeypatch.setenv("EVERGREEN_PROBLEMS", str(home))
    leaner = night("leaner")
    for stage in STAGES:
        stage.run(leaner)
    evaluated = leaner.record(Evaluated)
    assert (evaluated.champion_version, evaluated.champion_problem) == (1, "")
    assert evaluated.gain_over_champion is not None

    with pytest.raises(DataError, match="made version 1, which was promoted"):
        prepare.run(night())  # cleared with another problem file: the champion's files stay


def test_an_event_that_was_moved_counts_once(home, production):
    for stage in (ingest, validate):
        stage.run(night())
    moved = "sched_dep = '2013-01-31 20:00 America/New_York', outcome_at = '2013-02-01 02:00 America/New_York'"
    assert execute(production, f"UPDATE flights SET {moved} WHERE flight_id = (SELECT min(flight_id) FROM flights)") == 1
    later = night("later")
    for stage in (ingest, validate, prepare):
        stage.run(later)
    assert later.record(Prepared).num_superseded == 1
