"""Delta tables on a real S3 server: several writers at once, versions, vacuum, and writers that are killed."""

import signal
import subprocess
import sys
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow as pa
import pytest

from ml.errors import ConfigError, DataError, TransientError
from ml.settings import PROJECT
from ml.store import Store
from ml.tables import OvertakenError, Table
from ml.window import Window

JANUARY = Window.parse("2013-01-01/2013-02-01")


@pytest.fixture
def table(bucket):
    return Table(f"s3://{bucket}/flights/tables/raw")


def day(number: int) -> Window:
    return Window.parse(f"2013-01-{number:02d}")


def rows(number: int, *values: float | str) -> pa.Table:
    kind = pa.string() if isinstance(values[0], str) else pa.float64()
    return pa.table({"x": pa.array(values, kind), "_day": [f"2013-01-{number:02d}"] * len(values)})


def content(table: Table, version: int | None = None) -> dict[str, list[Any]]:
    read = table.read(JANUARY, version=version)
    found: dict[str, list[Any]] = {}
    for where, value in zip(read["_day"].to_pylist(), read["x"].to_pylist(), strict=True):
        found.setdefault(where[-2:], []).append(value)
    return {where: sorted(values) for where, values in sorted(found.items())}


def data_files(table: Table) -> set[str]:
    return {name for name in Store(table.location).names() if name.endswith(".parquet") and "_delta_log" not in name}


def named_files(table: Table, version: int | None = None) -> set[str]:
    return {name for names in table.files(version).values() for name in names}


def test_eight_threads_replace_eight_days_of_one_table_at_once(table):
    table.replace(JANUARY, pa.concat_tables([rows(number, -1.0) for number in range(1, 10)]))
    start = threading.Barrier(8)

    def replace(number: int) -> int:
        start.wait()
        return table.replace(day(number), rows(number, *map(float, range(number * 100))))

    with ThreadPoolExecutor(8) as pool:
        versions = list(pool.map(replace, range(1, 9)))
    assert len(set(versions)) == 8
    expected = {f"{number:02d}": [float(value) for value in range(number * 100)] for number in range(1, 9)}
    assert content(table) == expected | {"09": [-1.0]}
    assert data_files(table) >= named_files(table)


def test_the_first_write_of_a_table_by_four_threads_at_once_loses_nothing(table):
    start = threading.Barrier(4)

    def replace(number: int) -> int:
        start.wait()
        return table.replace(day(number), rows(number, float(number)))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(replace, range(1, 5)))
    assert content(table) == {f"{number:02d}": [float(number)] for number in range(1, 5)}


WRITER = """
import sys
import pyarrow as pa
from ml.tables import Table
from ml.window import Window
location, who = sys.argv[1:]
for turn in range(6):
    values = [f"{who}-{turn}-{n}" for n in range(200)]
    rows = pa.table({"x": values, "_day": ["2013-01-05"] * 200})
    Table(location).replace(Window.parse("2013-01-05"), rows, note={"who": who, "turn": str(turn)})
"""


def test_two_processes_replace_the_same_day_each_version_is_whole_and_the_other_day_stays(table):
    table.replace(JANUARY, pa.concat_tables([rows(4, "kept"), rows(5, "old")]))
    command = [sys.executable, "-c", WRITER, table.location]
    writers = [subprocess.Popen([*command, who], cwd=PROJECT) for who in ("one", "two")]
    assert [writer.wait(120) for writer in writers] == [0, 0]
    history = table.history()
    turns = {(commit.note["who"], int(commit.note["turn"])): commit.version for commit in history if "who" in commit.note}
    assert len(turns) == 12, "every replacement became a version of its own"
    for (who, turn), version in turns.items():
        assert content(table, version) == {"04": ["kept"], "05": sorted(f"{who}-{turn}-{n}" for n in range(200))}
    for who in ("one", "two"):
        assert [turns[who, turn] for turn in range(6)] == sorted(turns[who, turn] for turn in range(6))
    assert table.version == max(turns.values())


def test_of_two_that_change_what_they_have_read_the_second_is_told_and_tries_again(table):
    first = table.replace(day(5), rows(5, 1.0, 2.0))
    slow = table.stage(rows(5, 1.0, 2.0, 3.0).to_batches(), rows(5, 1.0).schema)
    table.replace(day(5), rows(5, 9.0))
    with pytest.raises(OvertakenError):
        table.commit(slow, day(5), based_on=first)
    slow.discard()
    assert content(table) == {"05": [9.0]}
    assert data_files(table) == named_files(table, first) | named_files(table), "what was staged in vain is gone"


def test_eight_writers_that_each_take_rows_out_of_the_same_day_leave_what_all_left(table):
    table.replace(day(5), rows(5, *map(float, range(80))))
    start = threading.Barrier(8)

    def take_out(number: int) -> None:
        start.wait()
        table.rewrite(
            list(day(5)), lambda batch: pa.array([value % 8 != number or value in (0, 8) for value in batch["x"].to_pylist()])
        )

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(take_out, range(8)))
    assert content(table) == {"05": [0.0, 8.0]}


def test_old_versions_are_read_as_they_were(table):
    versions = [table.replace(day(5), rows(5, float(number))) for number in range(3)]
    versions.append(table.replace(day(6), rows(6, 7.0)))
    assert [content(table, version) for version in versions] == [
        {"05": [0.0]}, {"05": [1.0]}, {"05": [2.0]}, {"05": [2.0], "06": [7.0]}
    ]  # fmt: skip
    assert Counter(table.num_rows(JANUARY)) == {"2013-01-05": 1, "2013-01-06": 1}
    with pytest.raises(DataError, match="no version 99"):
        table.read(JANUARY, version=99)


def test_the_same_rows_in_another_order_make_no_version_and_leave_no_file(table):
    version = table.replace(JANUARY, pa.concat_tables([rows(5, 1.0, 2.0, float("nan")), rows(6, 3.0)]))
    files = data_files(table)
    assert table.replace(JANUARY, pa.concat_tables([rows(6, 3.0), rows(5, float("nan"), 2.0, 1.0)])) == version
    assert table.version == version and data_files(table) == files
    changed = table.replace(JANUARY, pa.concat_tables([rows(6, 4.0), rows(5, float("nan"), 2.0, 1.0)]))
    assert table.files(changed)[day(5).start] == table.files(version)[day(5).start], "only the day that differs is written"


def test_vacuum_removes_old_versions_and_strays_and_never_a_kept_version(table):
    versions = [table.replace(day(5), rows(5, float(number))) for number in range(4)]
    stray = table.stage(rows(6, 1.0).to_batches(), rows(6, 1.0).schema)
    assert table.vacuum(keep={versions[1]}, older_than_hours=1) == [], "young files stay"
    gone = table.vacuum(keep={versions[1]}, older_than_hours=0)
    assert len(gone) == 3
    assert table.version == versions[-1], "vacuum makes no version"
    assert content(table) == {"05": [3.0]} and content(table, versions[1]) == {"05": [1.0]}
    assert not data_files(table) & {one.name for one in stray.files}
    with pytest.raises(DataError, match=r"Version 0 of .* can no longer be read"):
        content(table, versions[0])


KILLED = """
import os, signal, sys
import pyarrow as pa
from ml.tables import Table, log
from ml.window import Window
location, moment = sys.argv[1:]
table, window = Table(location), Window.parse("2013-01-05")
rows = pa.table({"x": [7.0, 8.0], "_day": ["2013-01-05"] * 2})
staged = table.stage(rows.to_batches(), rows.schema)
if moment == "before":
    os.kill(os.getpid(), signal.SIGKILL)
real = log.put
def put(*given):
    real(*given)
    os.kill(os.getpid(), signal.SIGKILL)
log.put = put
table.commit(staged, window)
"""


@pytest.mark.parametrize(("moment", "held"), [("before", [1.0]), ("after", [7.0, 8.0])])
def test_a_writer_killed_before_or_after_its_commit_leaves_a_table_that_the_next_one_ends(table, moment, held):
    table.replace(JANUARY, pa.concat_tables([rows(4, 4.0), rows(5, 1.0)]))
    killed = subprocess.run([sys.executable, "-c", KILLED, table.location, moment], cwd=PROJECT, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert content(table) == {"04": [4.0], "05": held}
    version = table.replace(day(5), rows(5, 7.0, 8.0))
    assert content(table) == {"04": [4.0], "05": [7.0, 8.0]}
    assert table.replace(day(5), rows(5, 7.0, 8.0)) == version
    table.vacuum(keep=set(), older_than_hours=0)
    assert data_files(table) == named_files(table), "what the killed writer left is gone"


def test_an_object_store_that_says_no_is_told_in_words(table, monkeypatch):
    table.replace(day(5), rows(5, 1.0))
    calls = (lambda t: t.version, lambda t: t.read(JANUARY), lambda t: t.exists, lambda t: t.replace(day(6), rows(6, 1.0)))
    for call in calls:
        with monkeypatch.context() as wrong:
            wrong.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
            with pytest.raises(ConfigError, match="refuses these keys"):
                call(table)
        with monkeypatch.context() as away:
            away.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
            with pytest.raises(TransientError, match="does not answer"):
                call(table)
    assert content(table) == {"05": [1.0]}
