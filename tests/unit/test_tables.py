"""Delta tables by day: replaced whole, read as of a version."""

from datetime import date

import pyarrow as pa
import pytest

from ml.errors import DataError
from ml.tables import Table
from ml.window import Window

BOTH = Window.parse("2013-01-01/2013-01-03")


def rows(**days: int) -> pa.Table:
    """`d1=3` makes three rows on the first of January."""
    pairs = [(f"2013-01-0{name[1]}", number) for name, count in days.items() for number in range(count)]
    return pa.table({"_day": pa.array([p[0] for p in pairs], pa.string()), "x": pa.array([p[1] for p in pairs], pa.int64())})


def test_twice_is_once(tmp_path):
    table = Table(tmp_path / "raw")
    table.replace(BOTH, rows(d1=2, d2=3))
    table.replace(BOTH, rows(d1=2, d2=3))
    assert table.read(BOTH).num_rows == 5


def test_one_day_is_replaced_and_the_others_stay(tmp_path):
    table = Table(tmp_path / "raw")
    first = table.replace(BOTH, rows(d1=2, d2=3))
    table.replace(Window.parse("2013-01-02"), rows(d2=1))
    assert table.read(BOTH).num_rows == 3
    assert table.read(BOTH, version=first).num_rows == 5
    assert table.newest_day() == date(2013, 1, 2)


def test_an_emptied_day_is_gone(tmp_path):
    table = Table(tmp_path / "raw")
    table.replace(BOTH, rows(d1=2, d2=3))
    table.replace(Window.parse("2013-01-02"), rows())
    assert table.days() == [date(2013, 1, 1)]


def test_a_row_outside_the_window_stops_the_write(tmp_path):
    table = Table(tmp_path / "raw")
    table.replace(BOTH, rows(d1=1))
    with pytest.raises(DataError, match="2013-01-02"):
        table.replace(Window.parse("2013-01-01"), rows(d1=1, d2=1))
    assert table.read(BOTH).num_rows == 1


def test_absent_table_and_version_are_told(tmp_path):
    table = Table(tmp_path / "raw")
    assert (table.exists, table.days()) == (False, [])
    with pytest.raises(DataError, match="no table"):
        table.read(BOTH)
    table.replace(BOTH, rows(d1=1))
    with pytest.raises(DataError, match="no version 7"):
        table.read(BOTH, version=7)


def test_a_new_column_is_missing_in_other_days_and_a_lost_one_in_new_days(tmp_path):
    table = Table(tmp_path / "raw")
    table.replace(BOTH, rows(d1=1, d2=1))
    table.replace(Window.parse("2013-01-02"), rows(d2=1).rename_columns(["_day", "y"]))
    held = table.read(BOTH).sort_by("_day").to_pylist()
    assert [(row["x"], row["y"]) for row in held] == [(0, None), (None, 0)]


def test_a_column_of_another_type_is_told_and_nothing_is_written(tmp_path):
    table = Table(tmp_path / "raw")
    table.replace(BOTH, rows(d1=1))
    with pytest.raises(DataError, match=r"x: int64 before, (large_)?string now"):
        table.replace(BOTH, rows(d1=1).set_column(1, "x", pa.array(["a"])))
    assert table.version == 0
