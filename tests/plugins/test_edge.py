"""From a DAG run to a context, and from a record to what travels between tasks."""

import re
from datetime import UTC, date, datetime
from types import SimpleNamespace

import pytest
from airflow.sdk.exceptions import AirflowSkipException
from hypothesis import given
from hypothesis import strategies as st
from retraining import edge
from retraining.problems import ProblemFile

from ml import context
from ml.errors import ConfigError
from ml.records import Ingested, Interval, Registered, Rule, Verdict

FLIGHTS = ProblemFile("flights", timezone="America/New_York")


@pytest.mark.parametrize(
    ("run_type", "dag_id", "reason"),
    [
        ("scheduled", "retrain_flights", "schedule"),
        ("asset_triggered", "retrain_flights", "drift"),
        ("asset_triggered", "promote_flights", "schedule"),
        ("manual", "retrain_flights", "manual"),
        ("operator_triggered", "retrain_flights", "manual"),
        ("backfill", "retrain_flights", "backfill"),
    ],
)
def test_why_a_run_exists_follows_from_how_airflow_started_it(run_type, dag_id, reason):
    assert edge.reason_of(run_type, dag_id=dag_id) == reason


@given(st.text(min_size=1, max_size=250))
def test_every_run_id_becomes_a_name_that_a_folder_may_have(run_id):
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,199}", edge.run_key(run_id))


@given(st.lists(st.text(alphabet="ab:+-./", min_size=1, max_size=6), min_size=2, unique=True))
def test_no_two_runs_share_a_folder(run_ids):
    assert len({edge.run_key(run_id) for run_id in run_ids}) == len(run_ids)


def test_a_run_id_that_can_name_a_folder_stays_as_it_is():
    assert edge.run_key("night-2013-02-01") == "night-2013-02-01"
    assert edge.run_key("manual__2026-11-21T23:22:15+00:00").startswith("manual__2026-11-21T23-22-15-00-00-")


def dag_run(run_type: str, moment: datetime | None = None):
    """As much of Airflow's run as the window depends on."""
    return SimpleNamespace(run_type=SimpleNamespace(value=run_type), logical_date=moment)


def test_a_window_is_what_the_form_says():
    assert edge.window_of(dag_run("manual"), {"window": "2013-01-31"}, FLIGHTS) == "2013-01-31"
    assert edge.window_of(dag_run("scheduled"), {"window": None}, FLIGHTS) is None


def test_a_backfills_window_is_the_day_of_its_run_in_the_problems_zone():
    # 02:00 UTC on 6 January is still the evening of the 5th in New York
    run = dag_run("backfill", datetime(2013, 1, 6, 2, tzinfo=UTC))
    assert edge.window_of(run, {}, FLIGHTS) == "2013-01-05"


def test_a_backfill_refuses_a_window_that_each_run_would_repeat():
    run = dag_run("backfill", datetime(2013, 1, 6, 8, tzinfo=UTC))
    with pytest.raises(ConfigError, match="Leave the window empty"):
        edge.window_of(run, {"window": "2013-01-01"}, FLIGHTS)


def test_a_promotion_by_hand_names_the_person_and_one_by_event_nobody():
    params = {"version": 7, "comment": None}
    by_hand = edge.asked_by_hand(SimpleNamespace(triggering_user_name="anna"), params)
    assert by_hand == {"version": 7, "comment": "", "actor": "airflow:anna"}
    by_event = edge.asked_by_hand(SimpleNamespace(triggering_user_name=None), {"version": None, "comment": None})
    assert by_event == {"version": None, "comment": ""}


def test_an_unknown_parameter_is_refused_and_the_known_ones_are_named():
    with pytest.raises(ConfigError, match=r"'windw', which this DAG does not know\. Known: 'window', 'dry_run'"):
        edge.refuse_unknown({"windw": "2013-01-01"}, known=["window", "dry_run"])
    edge.refuse_unknown({"window": "2013-01-01"}, known=["window", "dry_run"])


def ingested(**changes):
    given_ = {"start": date(2013, 1, 1), "end": date(2013, 2, 1), "version": 3, "num_rows": 5, "changed": True}
    return Ingested.model_validate(given_ | {"num_rows_by_day": {"2013-01-01": 5}} | changes)


def test_the_log_line_tells_the_short_fields():
    told = "ingest: start 2013-01-01, end 2013-02-01, version 3, rows 5, changed True, deleted 0, erased 0, late 0"
    assert edge.summary(ingested()) == told


def test_the_log_line_of_a_verdict_is_its_sentence():
    rule = Rule(rule="floor", value=0.5, limit=0.6, holds=False, sentence="auc 0.5 is under its floor 0.6")
    verdict = Verdict(decision="reject", rules=(rule,), champion_version=None, dry_run=False)
    assert edge.summary(verdict) == "gate: reject: auc 0.5 is under its floor 0.6"


def test_the_log_line_of_a_registration_holds_the_address():
    line = edge.summary(Registered(version=None, mlflow_run_id="r1", url="http://127.0.0.1:5000/#/runs/r1"))
    assert line.endswith("url http://127.0.0.1:5000/#/runs/r1")


def test_what_travels_is_the_record_as_plain_json():
    expected = ingested().model_dump(mode="json")
    assert edge.done(ingested()) == expected


def test_long_fields_stay_in_the_runs_folder():
    days = {str(date.fromordinal(734000 + number)): 1 for number in range(365)}
    travelling = edge.small(ingested(num_rows_by_day=days))
    assert "num_rows_by_day" not in travelling
    assert travelling["num_rows"] == 5


def test_numbers_that_json_does_not_have_travel_as_text():
    sent = edge.small(Interval(value=0.5, low=float("nan"), high=float("inf")))
    assert (sent["value"], sent["low"], sent["high"]) == (0.5, "nan", "inf")


ENDS = {
    "no record": lambda: edge.done(None, "no promotion is due"),
    "a reason": lambda: edge.skip_if("no promotion is due"),
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_a_skip_says_why_in_the_log(end, caplog):
    caplog.set_level("INFO")
    with pytest.raises(AirflowSkipException, match="no promotion is due"):
        end()
    assert "Skipped: no promotion is due." in caplog.text


def test_no_reason_is_no_skip():
    edge.skip_if(None)


def test_reasons_are_those_of_the_system():
    types = ("scheduled", "asset_triggered", "manual", "backfill")
    known = set(context.Reason.__args__)  # type: ignore[attr-defined]
    assert {edge.reason_of(run_type, dag_id="retrain_x") for run_type in types} == known
