"""Delta tables by day: replaced whole, read as of a version."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from ml.errors import DataError
from ml.tables import OvertakenError, Table
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


MIXED = {
    "n": pa.array([0.0, -0.0, float("nan"), None, float("inf"), 1.5]),
    "s": pa.array(["", None, "a", "ä", "a" * 10_000, "0"]),
    "b": pa.array([True, False, None, True, False, None]),
    "t": pa.array([0, -1, 1_357_000_000_123_456, None, 5, 6], pa.timestamp("us", "UTC")),
    "l": pa.array([[], None, ["a"], ["a", None], ["b"], ["a", "b"]], pa.list_(pa.string())),
}


def mixed(day: str = "2013-01-01") -> pa.Table:
    return pa.table({"_day": [day] * 6, **MIXED})


def held(table: Table, version: int | None = None) -> list[dict]:
    return table.read(BOTH, version=version).to_pylist()


def test_every_kind_of_value_comes_back_as_it_was(tmp_path):
    table = Table(tmp_path / "raw")
    table.replace(BOTH, mixed())
    back = table.read(BOTH).select(mixed().column_names)
    assert back.schema == mixed().schema.set(5, pa.field("l", pa.list_(pa.field("element", pa.string()))))
    assert str(back.to_pylist()) == str(mixed().to_pylist())  # as text: NaN equals itself there, and -0.0 is not 0.0
    assert table.num_rows(BOTH) == {"2013-01-01": 6}


def test_days_whose_rows_are_the_same_make_no_version_whatever_their_order(tmp_path):
    table = Table(tmp_path / "raw")
    both = pa.concat_tables([mixed(), mixed("2013-01-02")])
    first = table.replace(BOTH, both)
    files = set(tmp_path.rglob("*.parquet"))
    assert table.replace(BOTH, both.take([7, 3, 1, 0, 2, 11, 4, 5, 6, 10, 9, 8]).select(both.column_names[::-1])) == first
    assert set(tmp_path.rglob("*.parquet")) == files  # what was staged in vain is gone


@pytest.mark.parametrize(
    ("column", "change"),
    [
        ("n", [0.0, 0.0, float("nan"), None, float("inf"), 1.5]),
        ("n", [0.0, -0.0, None, float("nan"), float("inf"), 1.5]),
        ("s", [None, "", "a", "ä", "a" * 10_000, "0"]),
        ("s", ["", "", "a", "ä", "a" * 10_000, "0"]),
        ("b", [True, None, False, True, False, None]),
        ("t", [0, -1, 1_357_000_000_123_457, None, 5, 6]),
        ("l", [None, [], ["a"], ["a", None], ["b"], ["a", "b"]]),
        ("l", [[], None, ["a"], ["a", None], ["b"], ["b", "a"]]),
    ],
    ids=["minus zero", "NaN and NULL", "NULL and empty, swapped", "NULL is empty", "boolean", "a microsecond", "list", "order"],
)
def test_the_smallest_change_of_a_day_makes_a_version(tmp_path, column, change):
    table = Table(tmp_path / "raw")
    table.replace(BOTH, mixed())
    changed = mixed().set_column(mixed().column_names.index(column), column, pa.array(change, MIXED[column].type))
    assert table.replace(BOTH, changed) == 1
    assert str(held(table)[0][column]) == str(changed[column][0].as_py())


def test_only_days_that_differ_are_written(tmp_path):
    table = Table(tmp_path / "raw")
    table.replace(BOTH, rows(d1=2, d2=3))
    before = table.files()
    table.replace(BOTH, rows(d1=2, d2=4))
    after = table.files()
    assert before[date(2013, 1, 1)] == after[date(2013, 1, 1)]
    assert before[date(2013, 1, 2)].isdisjoint(after[date(2013, 1, 2)])
    assert table.num_rows(BOTH) == {"2013-01-01": 2, "2013-01-02": 4}
    assert table.num_rows(BOTH, version=0) == {"2013-01-01": 2, "2013-01-02": 3}


def test_a_first_write_without_rows_makes_a_table_without_rows(tmp_path):
    table = Table(tmp_path / "quarantine")
    assert table.replace(BOTH, mixed().slice(0, 0)) == 0
    assert (table.days(), table.read(BOTH).num_rows, set(table.schema())) == ([], 0, {"_day", *MIXED})


def test_a_row_without_a_day_stops_the_write_and_leaves_nothing(tmp_path):
    table = Table(tmp_path / "raw")
    with pytest.raises(DataError, match="1 rows have no _day"):
        table.replace(BOTH, pa.table({"_day": ["2013-01-01", None], "x": [1, 2]}))
    assert list(tmp_path.rglob("*.parquet")) == []


def test_categories_are_kept_as_strings(tmp_path):
    table = Table(tmp_path / "raw")
    coded = pa.table(
        {"_day": pa.array(["2013-01-01"] * 3).dictionary_encode(), "x": pa.array(["a", None, "b"]).dictionary_encode()}
    )
    table.replace(BOTH, coded)
    assert table.schema() == {"_day": pa.string(), "x": pa.string()}
    assert table.replace(BOTH, pa.table({name: coded[name].cast(pa.string()) for name in coded.column_names})) == 0


def test_the_history_says_who_wrote_what(tmp_path):
    table = Table(tmp_path / "raw")
    table.replace(BOTH, rows(d1=1), note={"run_key": "first", "stage": "ingest"})
    table.replace(BOTH, rows(d1=2), note={"run_key": "second", "stage": "ingest"})
    assert [(one.version, one.note["run_key"]) for one in table.history()] == [(1, "second"), (0, "first")]


def test_values_do_not_stand_in_the_log(tmp_path):
    """Erasing a person removes data files; a least or greatest value in the log would outlive them."""
    table = Table(tmp_path / "raw")
    table.replace(BOTH, pa.table({"_day": ["2013-01-01"], "key": ["person-1"], "x": [987654321]}))
    log = "".join(path.read_text() for path in (tmp_path / "raw" / "_delta_log").glob("*.json"))
    assert "numRecords" in log
    assert "person-1" not in log and "987654321" not in log


def test_what_was_staged_and_never_committed_is_no_part_of_the_table(tmp_path):
    table = Table(tmp_path / "raw")
    table.replace(BOTH, rows(d1=2))
    abandoned = table.stage(rows(d1=5).to_batches(), rows(d1=5).schema)
    assert abandoned.num_rows_by_day == {"2013-01-01": 5}
    assert table.read(BOTH).num_rows == 2
    abandoned.discard()
    assert len(list(tmp_path.rglob("*.parquet"))) == 1
    committed = table.stage(rows(d1=5).to_batches(), rows(d1=5).schema)
    table.commit(committed, BOTH, note={})
    committed.discard()  # too late: it is part of the table
    assert table.read(BOTH).num_rows == 5


def test_discarding_what_was_committed_and_then_replaced_by_others_leaves_the_old_version_readable(tmp_path):
    table = Table(tmp_path / "raw")
    ready = table.stage(rows(d1=5).to_batches(), rows(d1=5).schema)
    table.commit(ready, BOTH)
    table.replace(BOTH, rows(d1=1))
    ready.discard()
    assert (table.read(BOTH, version=0).num_rows, table.read(BOTH).num_rows) == (5, 1)


def test_vacuum_keeps_the_newest_version_and_those_it_is_told_and_writes_none(tmp_path):
    table = Table(tmp_path / "raw")
    for number in range(1, 5):
        table.replace(BOTH, rows(d1=number, d2=1))
    table.stage(rows(d1=9).to_batches(), rows(d1=9).schema)  # its writer was killed
    assert table.vacuum(keep={1}, older_than_hours=1) == []
    removed = table.vacuum(keep={1}, older_than_hours=0)
    assert len(removed) == 3  # versions 0 and 2, and the stray
    assert table.version == 3
    assert [table.read(BOTH, version=version).num_rows for version in (1, 3)] == [3, 5]
    with pytest.raises(DataError, match=r"Version 2 of table .* can no longer be read"):
        table.read(BOTH, version=2)
    assert table.vacuum(keep={1}, older_than_hours=0) == []


def test_rewriting_leaves_out_rows_of_the_days_that_hold_some(tmp_path):
    table = Table(tmp_path / "raw")
    table.replace(BOTH, rows(d1=3, d2=1))
    before = table.files()
    days = [date(2013, 1, 1), date(2013, 1, 2)]
    assert table.rewrite(days, lambda batch: pc.not_equal(batch["x"], 2), note={"stage": "erase"}) == 1
    assert sorted(row["x"] for row in held(table)) == [0, 0, 1]
    assert table.files()[days[1]] == before[days[1]]
    assert table.rewrite(days, lambda batch: pc.not_equal(batch["x"], 2)) == 1  # nothing left to do
    assert table.rewrite(days, lambda batch: pc.less(batch["x"], 0)) == 2
    assert table.days() == []


def test_batches_are_the_rows_in_small_pieces(tmp_path):
    table = Table(tmp_path / "raw")
    many = pa.table({"_day": ["2013-01-01"] * 150_000, "x": pa.array(range(150_000))})
    table.replace(BOTH, many)
    pieces = list(table.batches(BOTH, columns=["x"]))
    assert max(piece.num_rows for piece in pieces) <= 65_536
    assert pa.Table.from_batches(pieces).sort_by("x")["x"].to_pylist() == list(range(150_000))


def test_rows_made_from_days_that_changed_since_are_refused(tmp_path):
    table = Table(tmp_path / "raw")
    version = table.replace(BOTH, rows(d1=1, d2=1))
    made = table.stage(rows(d1=5).to_batches(), rows(d1=5).schema)
    table.replace(Window.parse("2013-01-02"), rows(d2=2))  # another day: no matter
    table.replace(Window.parse("2013-01-01"), rows(d1=7))
    with pytest.raises(OvertakenError, match="2013-01-01"):
        table.commit(made, Window.parse("2013-01-01"), note={}, based_on=version)
    assert table.num_rows(BOTH) == {"2013-01-01": 7, "2013-01-02": 2}


def test_writers_of_different_days_all_succeed_and_of_the_same_day_the_last_one_stands(tmp_path):
    table = Table(tmp_path / "raw")
    march = Window.parse("2013-03-01/2013-04-01")
    days = [str(day) for day in march][:8]

    def write(number: int) -> None:
        """Each its own day, which is new, and all of them one common day with as many rows as their number."""
        for day, size in ((days[number], number + 1), ("2013-03-31", number + 1)):
            Table(tmp_path / "raw").replace(Window.parse(day), pa.table({"_day": [day] * size, "x": [number] * size}))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(8)))
    counts = table.num_rows(march)
    assert [counts.pop(day) for day in days] == list(range(1, 9))
    writer = set(table.read(Window.parse("2013-03-31"))["x"].to_pylist())
    assert counts == {"2013-03-31": writer.pop() + 1}  # one writer's rows, all of them, and nobody else's
    assert not writer
    assert table.version == 15  # sixteen commits, each seen by all others


WRITER = """
import sys
import pyarrow as pa
from ml.tables import Table
from ml.window import Window
location, number = sys.argv[1], int(sys.argv[2])
for turn in range(5):
    day, size = f"2013-03-0{number}", turn + 1
    Table(location).replace(Window.parse(day), pa.table({"_day": [day] * size, "x": [number] * size}))
"""


def test_processes_that_write_at_once_lose_nothing(tmp_path):
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, tmp_path / "raw", str(number)]) for number in (1, 2, 3)]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    table = Table(tmp_path / "raw")
    assert table.num_rows(Window.parse("2013-03-01/2013-04-01")) == {"2013-03-01": 5, "2013-03-02": 5, "2013-03-03": 5}
    assert table.version == 14


def test_a_window_of_many_days_in_any_order_is_written_whole(tmp_path):
    table = Table(tmp_path / "raw")
    start = date(2010, 1, 1)
    days = [str(start + timedelta(days=number)) for number in range(500)]
    shuffled = pa.table({"_day": [days[(number * 7919) % 500] for number in range(5000)], "x": pa.array(range(5000))})
    table.replace(Window(start, start + timedelta(days=500)), shuffled)
    assert table.num_rows(Window(start, start + timedelta(days=500))) == dict.fromkeys(days, 10)
