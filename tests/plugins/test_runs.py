"""From a DAG run to a context: why it exists, its window, its folder, what its form says."""

import re
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from retraining import runs
from retraining.problems import ProblemFile

from ml import context
from ml.errors import ConfigError

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
    assert runs.reason_of(run_type, dag_id=dag_id) == reason


@given(st.text(min_size=1, max_size=250))
def test_every_run_id_becomes_a_name_that_a_folder_may_have(run_id):
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,199}", runs.run_key(run_id))


@given(st.lists(st.text(alphabet="ab:+-./", min_size=1, max_size=6), min_size=2, unique=True))
def test_no_two_runs_share_a_folder(run_ids):
    assert len({runs.run_key(run_id) for run_id in run_ids}) == len(run_ids)


def test_a_run_id_that_can_name_a_folder_stays_as_it_is():
    assert runs.run_key("night-2013-02-01") == "night-2013-02-01"
    assert runs.run_key("manual__2026-11-21T23:22:15+00:00").startswith("manual__2026-11-21T23-22-15-00-00-")


def dag_run(run_type: str, moment: datetime | None = None):
    """As much of Airflow's run as the window depends on."""
    return SimpleNamespace(run_type=SimpleNamespace(value=run_type), logical_date=moment)


def test_a_window_is_what_the_form_says():
    assert runs.window_of(dag_run("manual"), {"window": "2013-01-31"}, FLIGHTS) == "2013-01-31"
    assert runs.window_of(dag_run("scheduled"), {"window": None}, FLIGHTS) is None


def test_a_backfills_window_is_the_day_of_its_run_in_the_problems_zone():
    # 02:00 UTC on 6 January is still the evening of the 5th in New York
    run = dag_run("backfill", datetime(2013, 1, 6, 2, tzinfo=UTC))
    assert runs.window_of(run, {}, FLIGHTS) == "2013-01-05"


def test_a_backfill_refuses_a_window_that_each_run_would_repeat():
    run = dag_run("backfill", datetime(2013, 1, 6, 8, tzinfo=UTC))
    with pytest.raises(ConfigError, match="Leave the window empty"):
        runs.window_of(run, {"window": "2013-01-01"}, FLIGHTS)


def test_a_promotion_by_hand_names_the_person_and_one_by_event_nobody():
    params = {"version": 7, "comment": None}
    by_hand = runs.asked_by_hand(SimpleNamespace(triggering_user_name="anna"), params)
    assert by_hand == {"version": 7, "comment": "", "actor": "airflow:anna"}
    by_event = runs.asked_by_hand(SimpleNamespace(triggering_user_name=None), {"version": None, "comment": None})
    assert by_event == {"version": None, "comment": ""}


def test_an_unknown_parameter_is_refused_and_the_known_ones_are_named():
    with pytest.raises(ConfigError, match=r"'windw', which this DAG does not know\. Known: 'window', 'dry_run'"):
        runs.refuse_unknown({"windw": "2013-01-01"}, known=["window", "dry_run"])
    runs.refuse_unknown({"window": "2013-01-01"}, known=["window", "dry_run"])


def test_reasons_are_those_of_the_system():
    types = ("scheduled", "asset_triggered", "manual", "backfill")
    known = set(context.Reason.__args__)  # type: ignore[attr-defined]
    assert {runs.reason_of(run_type, dag_id="retrain_x") for run_type in types} == known
