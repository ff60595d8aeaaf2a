"""What the pages inside Airflow know: from records and the ledger, bounded, and robust to what is missing."""

import json
from dataclasses import replace
from datetime import date, timedelta

import pytest

from ml import marks, overview
from ml.context import Context
from ml.errors import TransientError
from ml.ledger import Ledger
from ml.overview import timeline
from ml.overview.nights import MOST, nights
from ml.records import Ingested, Monitored, MonitoredDay
from tests.unit import overview_kit as kit


@pytest.fixture(scope="module")
def played(tmp_path_factory) -> Context:
    context = kit.make_context(tmp_path_factory.mktemp("overview"))
    kit.fortnight(context)
    return context


def test_a_line_of_the_fleet_says_who_serves_how_well_and_what_waits(played):
    [flights] = overview.fleet(played.settings, ["flights"])
    assert flights.trouble == ""
    assert flights.champion is not None and flights.champion.version == 1
    assert flights.age_days == 13
    assert flights.promised == pytest.approx(0.74)
    assert [point.day for point in flights.quality] == [kit.FIRST + timedelta(days=number) for number in range(14)]
    assert flights.quality[0].value is None and flights.quality[-1].value == pytest.approx(
        0.74 + 0.012 * 0.42016 - 0.026, abs=1e-4
    )
    assert flights.drift == "drift"
    assert flights.quality[-1].subjects == ("wind_speed",)
    assert [(one.version, one.run_key) for one in flights.waiting] == [(2, "night-2013-02-14")]
    assert flights.told == "Version 2 waits for an approval."
    assert flights.minutes == pytest.approx(sum(75 + number for number in (0, 3, 6, 9, 12, 13)) / 60)
    assert flights.num_bytes > 1000


def test_the_brief_tells_every_step_of_a_night_in_order(played):
    found = overview.brief(played, run_key="night-2013-02-04")
    told = {step.name: (step.state, step.sentence) for step in found.steps}
    assert list(told) == ["Ingested", "Validated", "Decided", "Prepared", "Trained", "Judged", "Registered", "Monitored"]
    assert told["Ingested"] == ("done", "2,970 rows of 2013-02-01 to 2013-02-03 were read; 1 day is new or changed.")
    assert told["Validated"] == ("done", "All 2,970 rows kept the rules.")
    assert told["Trained"] == ("done", "12 rounds over the rows in 78 s; round 9 was best.")
    assert told["Judged"][1].startswith("The candidate was refused: auc gain is too small. auc 0.7400 against 0.7300 of the")
    assert told["Registered"] == ("done", "No version was made of it.")
    assert "wind_speed moved" in told["Monitored"][1]
    assert found.headline.startswith("The candidate was refused")


def test_a_night_that_trains_nothing_ends_with_its_reason(played):
    found = overview.brief(played, run_key="night-2013-02-03")
    assert [(step.name, step.state) for step in found.steps][:3] == [
        ("Ingested", "done"),
        ("Validated", "done"),
        ("Decided", "skipped"),
    ]
    assert "Trained" not in [step.name for step in found.steps]
    assert found.steps[1].sentence == "2,871 rows are good, 9 went to quarantine: distance between 1 and 6000 (9)."
    assert found.headline == "No training was due: 0.04 of the rows are new, 0.05 are needed for a look."


def test_what_became_of_the_candidate_since_belongs_to_its_night(played):
    found = overview.brief(played, run_key="night-2013-02-01")
    assert [step.sentence for step in found.steps[-3:-1]] == ["Version 1 became champion.", "Version 1 answers callers."]
    assert found.headline == "Version 1 answers callers."


@pytest.mark.parametrize(
    ("state", "expected", "headline"),
    [
        ("failed", "failed", "Validated: This step failed; its log says why and what to do."),
        ("upstream_failed", "not reached", "Nothing is known after this: 5 rows of 2013-01-29 to 2013-01-31 were read"),
        ("running", "running", "Validated: This step is under way."),
        ("awaiting_input", "waits", "Validated: This step waits."),
        ("a state of tomorrow", "not reached", "Nothing is known after this: 5 rows"),
    ],
)
def test_a_step_without_a_record_is_told_as_its_orchestrator_says(tmp_path, state, expected, headline):
    run = kit.at(kit.make_context(tmp_path), kit.FIRST)
    marks.mark_begun(run)
    window = {"start": date(2013, 1, 29), "end": date(2013, 2, 1)}
    run.write(Ingested(**window, version=0, num_rows=5, num_rows_by_day={}, changed=True))
    found = overview.brief(run, states={"validate": state})
    assert found.steps[1].state == expected
    assert found.headline.startswith(headline)


def test_an_empty_night_is_told_as_one(tmp_path):
    run = kit.at(kit.make_context(tmp_path), kit.FIRST)
    marks.mark_begun(run)
    run.write(
        Ingested(start=kit.FIRST, end=kit.FIRST + timedelta(days=1), version=-1, num_rows=0, num_rows_by_day={}, changed=False)
    )
    assert overview.brief(run).headline == "The source had no rows for 2013-02-01 to 2013-02-01."


def test_a_problem_without_a_night_has_a_page_all_the_same(tmp_path):
    found = overview.detail(kit.make_context(tmp_path))
    assert found.glance.champion is None and found.glance.nights == ()
    assert found.brief.run_key == "" and "No night yet" in found.brief.headline
    assert (found.versions, found.earlier, found.glance.quality, found.events, found.plots) == ((), (), (), (), ())


def test_the_page_of_a_problem_knows_versions_nights_plots_and_that_mlflow_is_away(played):
    found = overview.detail(played)
    assert found.mlflow.startswith("MLflow at http://127.0.0.1:9")
    assert [(one.version, one.is_champion, one.verdict) for one in found.versions] == [(1, True, "promote")]
    assert found.versions[0].url == "http://127.0.0.1:9/#/models/flights/versions/1?workflowType=machine_learning"
    assert found.plots == ("roc",)
    assert "it warns of" in found.judged
    assert len(found.glance.nights) == 14
    assert [one.ended for one in found.glance.nights[-4:]] == ["reject", "skipped", "skipped", "promote"]
    assert found.glance.nights[11].num_quarantined == 9
    assert found.events[0].what == "Version 2 waits for an approval"


def test_a_problem_file_that_is_broken_takes_no_other_with_it_and_shows_no_folder(played, tmp_path):
    folder = tmp_path / "problems"
    folder.mkdir()
    (folder / "flights.toml").write_text((played.settings.problems / "flights.toml").read_text())
    (folder / "torn.toml").write_text("[problem\n")
    broken, whole = sorted(overview.fleet(replace(played.settings, problems=folder)), key=lambda one: not one.trouble)
    assert (broken.name, whole.name, whole.trouble) == ("torn", "flights", "")
    assert "torn.toml is not valid TOML" in broken.trouble and str(folder) not in broken.trouble


def test_a_ledger_that_is_away_is_told_on_the_line_of_the_problem(played):
    away = replace(played.settings, database_url="postgresql://nobody@127.0.0.1:9/none")
    [flights] = overview.fleet(away, ["flights"])
    assert flights.title == "Late arrivals" and "127.0.0.1" in flights.trouble


def test_records_that_cannot_be_read_count_as_absent(tmp_path):
    context = kit.make_context(tmp_path)
    run = kit.night(context, 0, train=True)
    kit.day(context, 0)
    run.store.write_json(run.name("validate.json"), {"of": "another time"})
    run.store.write(run.name("gate.json"), b"{half of a fi")
    run.store.write(f"{MonitoredDay.folder}/2013-02-02.json", b"[]")
    run.store.write(marks.BEGUN, b"7")
    found = overview.detail(context)
    assert found.glance.nights[0].num_ingested == 2700 and found.glance.nights[0].num_valid is None
    assert found.glance.nights[0].ended == "train"
    assert [point.day for point in found.glance.quality] == [date(2013, 2, 1)]


def test_runs_of_versions_that_kept_no_list_are_known_by_the_ledger(played):
    played.store.delete(marks.BEGUN)
    try:
        ran = nights(played, played.ledger.recent("flights", 300))
    finally:
        for number in range(14):
            marks.mark_begun(kit.at(played, kit.FIRST + timedelta(days=number)))
    assert [one.run_key for one in ran][:2] == ["night-2013-02-14", "night-2013-02-13"]
    assert len(ran) == 14


def test_the_list_of_runs_is_bounded_and_a_run_stands_in_it_once(tmp_path, monkeypatch):
    monkeypatch.setattr(marks, "MOST_BEGUN", 5)
    context = kit.make_context(tmp_path)
    for number in range(marks.MOST_BEGUN + 5):
        for _ in range(2):
            marks.mark_begun(kit.at(context, kit.FIRST + timedelta(days=number)))
    keys = [one["run_key"] for one in marks.begun(context)]
    assert len(keys) == len(set(keys)) == marks.MOST_BEGUN
    assert keys[-1] == f"night-{kit.FIRST + timedelta(days=marks.MOST_BEGUN + 4)}"
    marks.mark_begun(replace(context, run_key="backfill-1", reason="backfill"))
    assert "backfill-1" not in [one["run_key"] for one in marks.begun(context)]


def test_a_page_reads_as_much_after_years_as_after_a_month(tmp_path, monkeypatch):
    """Counted, not timed: how many files and entries are read does not depend on how many there are."""
    from ml.store import Store

    read: list[str] = []
    plain = Store.read

    def counted(store: Store, name: str) -> bytes:
        read.append(name)
        return plain(store, name)

    monkeypatch.setattr(Store, "read", counted)
    counts = []
    for size in (MOST + 2, MOST + 12):
        context = kit.make_context(tmp_path / str(size))
        for number in range(size):
            kit.night(context, number, train=False)
            kit.day(context, number)
        read.clear()
        overview.detail(context)
        counts.append(len(read))
    assert counts[0] == counts[1]


def test_the_ledger_gives_its_newest_entries_in_their_order(played):
    every, newest = played.ledger.entries("flights"), played.ledger.recent("flights", 5)
    assert newest == every[-5:]
    assert played.ledger.recent("flights", 1000) == every
    assert Ledger(played.settings.database_url).recent("none", 5) == []


def test_every_kind_of_entry_is_told_in_words(played):
    for entry in played.ledger.entries("flights"):
        told = timeline.event(entry)
        assert told.what and "_" not in told.what
    unknown = replace(played.ledger.entries("flights")[0], kind="something_new", body={"why": "x " * 400})
    assert timeline.event(unknown).what == "Something new"
    assert len(timeline.event(unknown).why) <= timeline.LONGEST


def test_the_commands_print_the_same_records(played, tmp_path, monkeypatch, capsys):
    from typer.testing import CliRunner

    from ml.cli.app import app

    for name, value in {
        "STORE": played.settings.store, "DATABASE_URL": played.settings.database_url, "MLFLOW_URL": "http://127.0.0.1:9",
        "CLOCK_FILE": str(played.settings.clock_file),
    }.items():  # fmt: skip
        monkeypatch.setenv(f"EVERGREEN_{name}", value)
    shown = CliRunner().invoke(app, ["fleet"]).output
    assert "version 1, 13 days" in shown and "version 2" in shown and "complaints" in shown
    flights = next(one for one in json.loads(CliRunner().invoke(app, ["fleet", "--json"]).output) if one["name"] == "flights")
    assert flights["champion"]["version"] == 1 and flights["drift"] == "drift" and len(flights["quality"]) == 14
    told = CliRunner().invoke(app, ["brief", "--problem", "flights"]).output
    assert "Validated: All" in told and "Approval: Version 2 waits for an approval." in told
    brief = json.loads(CliRunner().invoke(app, ["brief", "--problem", "flights", "--json"]).output)
    assert brief["run_key"] == "night-2013-02-14" and brief["steps"][0]["name"] == "Ingested"


def test_a_word_about_drift_needs_one_kind_that_could_be_judged():
    from ml.overview.live import _worst

    def said(**verdicts) -> Monitored:
        return Monitored(version=1, num_requests=0, num_labelled=0, verdicts=verdicts, findings=(), retrain=False, reason="")

    assert _worst(said(data="no drift", concept="drift")) == "drift"
    assert _worst(said(data="not assessable", concept="no drift")) == "no drift"
    assert _worst(said(data="not assessable")) == "not assessable"
    assert _worst(said()) == "not assessable"


def test_mlflow_that_is_away_is_a_transient_error_and_no_hang(played):
    with pytest.raises(TransientError, match="does not say which versions"):
        played.registry.newest("flights", 5)
