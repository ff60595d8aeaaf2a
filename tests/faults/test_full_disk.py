"""A store whose disk is full, for real: the error says so, nothing half-written stays, and a freed disk lets the run go on."""

import os
import shutil
import subprocess

import pyarrow as pa
import pytest

from ml.errors import TransientError
from ml.store import Store
from ml.tables import Table
from ml.window import Window

WINDOW = Window.parse("2013-01-01")


@pytest.fixture
def small_disk(tmp_path):
    """Two megabytes of a file system of its own."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("a small disk can be mounted by root only")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def rows(size: int) -> pa.Table:
    return pa.table({"_day": ["2013-01-01"] * size, "x": pa.array([os.urandom(1000).hex() for _ in range(size)])})


def test_a_table_that_does_not_fit_is_told_and_the_old_rows_stay(small_disk):
    table = Table(small_disk / "raw")
    table.replace(WINDOW, rows(10))
    with pytest.raises(TransientError, match="No room left on the disk of the store"):
        table.replace(WINDOW, rows(5000))
    assert table.read(WINDOW).num_rows == 10
    for litter in small_disk.rglob("*.parquet"):  # a writer that failed leaves files that no version names
        if litter.stat().st_size > 100_000:
            litter.unlink()
    table.replace(WINDOW, rows(20))
    assert table.read(WINDOW).num_rows == 20


def test_a_file_that_does_not_fit_is_told_and_leaves_no_litter(small_disk):
    store = Store(small_disk)
    store.write("runs/a/x.json", b"old")
    with pytest.raises(TransientError, match="No room left"):
        store.write("runs/a/x.json", os.urandom(3_000_000))
    assert store.read("runs/a/x.json") == b"old"
    assert [path.name for path in (small_disk / "runs/a").iterdir()] == ["x.json"]
    assert shutil.disk_usage(small_disk).free > 1_000_000
