"""What a replayed night can read: all that was known then, and nothing else, whatever asks and by whatever version."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from ml import errors
from ml.backtest import history, timeline
from ml.backtest.asked import Asked
from ml.tables import DAY, Table
from ml.window import Window
from tests.unit.backtest.backtest_kit import LATE_DAYS, past, problem

ABOUT = problem()
ASKED = Asked(Window.parse("2013-01-21/2013-01-31"), ("never",))
ALL = Window.parse("2013-01-01/2013-03-01")


def built(home: Path, rows: pa.Table) -> list[timeline.Night]:
    home.mkdir(parents=True)
    history.write(home / "history.parquet", rows, ABOUT)
    return timeline.build(home / "timeline", home / "history.parquet", ASKED.nights(ABOUT), ABOUT)


def seen(table: Table, version: int | None = None) -> list[dict]:
    return sorted(table.read(ALL, version=version).to_pylist(), key=lambda row: row["flight_id"])


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("backtest") / "home"
    built(made, past(31))
    return made


@pytest.fixture(scope="module")
def nights(home: Path) -> list[timeline.Night]:
    return timeline.build(home / "timeline", home / "history.parquet", ASKED.nights(ABOUT), ABOUT)


def test_every_night_holds_the_days_before_it_and_the_labels_that_had_come(home, nights):
    assert len(nights) == 10
    for night in nights:
        rows = Table(home / "timeline" / "valid").read(ALL, version=night.version)
        assert pc.max(rows[DAY]).as_py() == str(night.at.date() - timedelta(days=1))
        assert rows.num_rows == 4 * (night.at.date() - datetime(2013, 1, 1, tzinfo=UTC).date()).days
        labelled = rows.filter(pc.is_valid(rows["late_15"]))
        newest = night.at - timedelta(days=LATE_DAYS)
        assert {row for row in labelled["sched_dep"].to_pylist()} == {at for at in rows["sched_dep"].to_pylist() if at <= newest}
        assert labelled["outcome_at"].null_count == 0
        assert rows["outcome_at"].null_count == rows.num_rows - labelled.num_rows


def test_a_row_that_became_known_after_the_night_is_not_there(tmp_path):
    rows = past(31)
    late = [at if number != 75 else at + timedelta(days=3) for number, at in enumerate(rows["available_at"].to_pylist())]
    place = rows.column_names.index("available_at")
    rows = rows.set_column(place, "available_at", pa.array(late, rows["available_at"].type))  # of 19 January, known on the 22nd
    nights = built(tmp_path / "home", rows)
    table = Table(tmp_path / "home" / "timeline" / "valid")
    held = {night.name: "f75" in table.read(ALL, version=night.version)["flight_id"].to_pylist() for night in nights}
    assert (held["2013-01-21"], held["2013-01-22"], held["2013-01-23"]) == (False, False, True)


def test_labels_that_come_after_the_lookback_stay_unknown_as_they_do_in_production(tmp_path):
    about = problem(lookback_days=1)
    home = tmp_path / "home"
    home.mkdir()
    history.write(home / "history.parquet", past(31), about)
    nights = timeline.build(home / "timeline", home / "history.parquet", ASKED.nights(about), about)
    rows = Table(home / "timeline" / "valid").read(Window.parse("2013-01-22"), version=nights[-1].version)
    assert rows["late_15"].null_count == 3  # the night of the 24th was the last to read that day


def test_a_signal_planted_in_the_future_changes_nothing_that_a_night_can_read(home, nights, tmp_path):
    moment = nights[4].at
    planted = past(31)
    later = pc.greater(planted["outcome_at"], pa.scalar(moment))
    flipped = pc.if_else(later, pc.invert(planted["late_15"]), planted["late_15"])
    planted = planted.set_column(planted.column_names.index("late_15"), "late_15", flipped)
    unknown = pc.greater(planted["available_at"], pa.scalar(moment))
    leak = pc.if_else(unknown, pc.cast(flipped, pa.float64()), planted["distance"])  # a feature that is the label
    planted = planted.set_column(planted.column_names.index("distance"), "distance", leak)
    other = built(tmp_path / "home", planted)
    tables = [Table(where / "timeline" / "valid") for where in (home, tmp_path / "home")]
    same = [seen(tables[0], one.version) == seen(tables[1], two.version) for one, two in zip(nights, other, strict=True)]
    assert same == [True] * 5 + [False] * 5  # and the plant is there to be found, once its time has come


def test_a_policy_sees_its_night_as_the_newest_version_and_no_other(home, nights, tmp_path):
    own = tmp_path / "valid"
    for night in nights[:4]:
        timeline.reveal(home / "timeline", own, night)
        table = Table(own)
        assert table.version == night.version
        assert table.newest_day() == night.at.date() - timedelta(days=1)
        assert seen(table) == seen(Table(home / "timeline" / "valid"), night.version)
        with pytest.raises(errors.DataError):
            table.read(ALL, version=night.version + 1)
        assert max(day.name for day in own.glob(f"{DAY}=*")) == f"{DAY}={table.newest_day()}"


def test_a_timeline_that_was_cut_short_goes_on(home, nights, tmp_path):
    mine = tmp_path / "home"
    mine.mkdir()
    history.write(mine / "history.parquet", past(31), ABOUT)
    timeline.build(mine / "timeline", mine / "history.parquet", ASKED.nights(ABOUT)[:6], ABOUT)
    whole = timeline.build(mine / "timeline", mine / "history.parquet", ASKED.nights(ABOUT), ABOUT)
    assert whole == nights
    assert seen(Table(mine / "timeline" / "valid")) == seen(Table(home / "timeline" / "valid"))


def test_what_is_asked_between_two_nights_is_told_by_when_it_became_known(home, nights):
    rows = history.asked_between(home / "history.parquet", nights[0].at, nights[0].until)
    asked = [at - timedelta(hours=2) for at in rows["sched_dep"].to_pylist()]
    assert len(asked) == 4
    assert all(nights[0].at <= at < nights[0].until for at in asked)


def test_a_share_keeps_whole_keys_and_always_the_same(home):
    rows = past(250)
    half = history.thinned(rows, "flight_id", 0.5)
    assert 400 < half.num_rows < 600
    assert half.equals(history.thinned(rows, "flight_id", 0.5))
    assert set(history.thinned(rows, "flight_id", 0.2)["flight_id"].to_pylist()) <= set(half["flight_id"].to_pylist())


def test_a_past_that_does_not_cover_the_span_is_refused():
    with pytest.raises(errors.DataError, match="from 2013-01-01 to 2013-01-31"):
        history.refuse_uncovered(past(31), Window.parse("2013-01-03/2013-01-20"), ABOUT)
    with pytest.raises(errors.DataError, match="by a backfill"):
        history.refuse_uncovered(past(31), Window.parse("2013-02-03/2013-02-20"), ABOUT)
    history.refuse_uncovered(past(31), Window.parse("2013-01-15/2013-01-20"), ABOUT)
