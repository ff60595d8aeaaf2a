"""Ingest and validate killed at twenty random moments: the tables are never half of anything, and the rerun ends equal."""

import multiprocessing
import multiprocessing.synchronize
import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from ml import ingest, validate
from ml.context import Context
from ml.records import Ingested, Validated
from ml.window import Window
from tests.faults import orders as kit
from tests.faults.orders import BAD_DAY, FIRST, Shop

PER_DAY = 15_000
FIRST_NIGHT, WHOLE = Window(FIRST, BAD_DAY), Window(FIRST, BAD_DAY + timedelta(days=1))
TABLES = ("raw", "valid", "quarantine")
FILL = """
    INSERT INTO orders SELECT 'o' || day || lpad(n::text, 6, '0'), placed, placed, n % 5 = 0, placed + interval '20 hours',
        CASE WHEN n % 50 = 0 THEN -1 ELSE n % 90 END, (ARRAY['book', 'toy', 'shoe'])[1 + n % 3], 'note ' || n, n % 2 = 0,
        placed + interval '3 days', '1' || lpad((n % 1000)::text, 4, '0')
    FROM generate_series(0, 2) day, generate_series(1, {rows}) n,
        LATERAL (SELECT timestamptz '{first} 06:00+00' + day * interval '1 day' + n * interval '2 seconds' AS placed) at
"""
CHANGE = "UPDATE orders SET amount = amount + 1, note = note || ' changed' WHERE right(order_id, 1) = '7'"


def stages(context: Context, gone: multiprocessing.synchronize.Event) -> None:
    """What the night does, in a process that may be killed."""
    gone.set()
    ingest.run(context)
    validate.run(context)


@pytest.fixture(scope="module")
def shop(database, tmp_path_factory):
    """Two days let in; then the third came and rows of the first two changed."""
    made = Shop(tmp_path_factory.mktemp("shop"), database("orders"), database("state"))
    kit.create(made.sql, [])
    made.sql(FILL.format(rows=PER_DAY, first=FIRST))
    assert made.night("first", FIRST_NIGHT).error == ""
    made.sql(CHANGE)
    return made


@pytest.fixture(scope="module")
def undisturbed(shop, database, tmp_path_factory):
    """The same two nights with nobody in the way, in a store of their own: the tables, and how long the second took."""
    other = Shop(tmp_path_factory.mktemp("other"), database("orders"), database("state"))
    kit.create(other.sql, [])
    other.sql(FILL.format(rows=PER_DAY, first=FIRST))
    assert other.night("first", FIRST_NIGHT).error == ""
    before = contents(other)
    other.sql(CHANGE)
    begun = time.monotonic()
    assert other.night("second", WHOLE).error == ""
    return {"before": before, "after": contents(other), "seconds": time.monotonic() - begun}


def contents(shop: Shop) -> dict[str, object]:
    def plain(name: str) -> list[dict[str, object]]:
        return [{key: value for key, value in row.items() if key != "_run_key"} for row in shop.content(name)]

    return {name: plain(name) for name in TABLES}


def killed(context: Context, after_s: float) -> float | None:
    """Run the stages in a process of their own and kill it; None, or the seconds it took when the kill came too late."""
    forks = multiprocessing.get_context("forkserver")
    forks.set_forkserver_preload(["ml.ingest", "ml.validate", "great_expectations", "polars", "deltalake", "pyarrow.csv"])
    gone = forks.Event()
    process = forks.Process(target=stages, args=(context, gone))
    process.start()
    assert gone.wait(120) and process.pid
    begun = time.monotonic()
    process.join(after_s)
    if process.is_alive():
        os.kill(process.pid, signal.SIGKILL)
        process.join(60)
        return None
    assert process.exitcode == 0
    return time.monotonic() - begun


def kill_at_work(context: Context, draw: random.Random, longest_s: float, fresh: Callable[[], None]) -> float:
    """Kill the stages while they work; how fast the machine is shows only now, so a kill that came too late is drawn again."""
    for _ in range(20):
        fresh()
        ended = killed(context, draw.uniform(0, longest_s))
        if ended is None:
            return longest_s
        longest_s = ended
    raise AssertionError(f"no kill met the stages at work, the last drawn from {longest_s:.2f} s")


@pytest.mark.parametrize(("kills", "seed"), [(6, 20130131), pytest.param(20, 20130201, marks=pytest.mark.slow)])
def test_a_kill_at_any_moment_leaves_whole_tables_and_the_rerun_ends_equal(shop, undisturbed, kills, seed):
    draw, longest_s = random.Random(seed), undisturbed["seconds"]
    saved = shop.home / "store"
    safe = shop.home / "before"
    if not safe.exists():
        saved.rename(safe)
    for kill in range(kills):
        context = shop.context(f"night-{seed}-{kill}", str(WHOLE))
        longest_s = kill_at_work(context, draw, longest_s, partial(_copy, safe, saved))
        for name, rows in contents(shop).items():
            assert rows in (undisturbed["before"][name], undisturbed["after"][name]), f"kill {kill}: {name} is half of something"
        ingest.run(context)
        validate.run(context)
        assert contents(shop) == undisturbed["after"], f"kill {kill}"
        ingested, validated = context.record(Ingested), context.record(Validated)
        assert validated.num_valid + validated.num_quarantined == ingested.num_rows == 3 * PER_DAY


def _copy(source: Path, target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)
