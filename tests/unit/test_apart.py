"""A function in a process of its own: its answer, what it tells, its error, its end, and the watchdog."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import psutil  # type: ignore[import-untyped]
import pytest

from ml import apart
from ml.errors import DataError, TransientError
from ml.problem import Watchdog


def answer(value, tell):
    tell({"pid": os.getpid()})
    return value * 2


def loaded() -> tuple[bool, bool]:
    """Whether TensorFlow was there before anything asked for it, and whether it had computed."""
    known = "tensorflow" in sys.modules
    from tensorflow.python.eager import context

    return known, context.context_safe() is not None and bool(context.context()._initialized)


def refuse():
    raise DataError("no")


def hang(tell):
    tell({"pid": os.getpid()})
    time.sleep(60)


def talk(tell):
    while True:
        tell({})
        time.sleep(0.05)


def eat(tell):
    held = [np.ones(40_000_000) for _ in range(3)]  # about a gigabyte
    time.sleep(30)
    return len(held)


def die(*tell):
    os.kill(os.getpid(), signal.SIGKILL)


def test_it_answers_and_tells_from_another_process():
    told: list[dict] = []
    assert apart.run(answer, 21, told=told.append) == 42
    assert told[0]["pid"] != os.getpid()


def test_it_finds_tensorflow_imported():
    """Asked from a fresh process: one server serves all tests, and the first of them has started it."""
    asked = "from ml import apart; from tests.unit.test_apart import loaded; print(apart.run(loaded, seconds=120))"
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=False, timeout=200)
    assert done.stdout.strip() == "(True, False)", done.stderr


def test_its_error_comes_back_with_the_place_it_came_from():
    with pytest.raises(DataError, match="no") as caught:
        apart.run(refuse)
    assert "in refuse" in "".join(caught.value.__notes__)


def test_it_is_ended_in_time():
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        apart.run(time.sleep, 100, seconds=0.5)
    assert time.monotonic() - began < 20


def test_a_killed_one_is_worth_another_try():
    with pytest.raises(TransientError, match="killed"):
        apart.run(die, seconds=60)


@pytest.mark.parametrize(
    ("work", "watchdog", "kind", "message"),
    [
        (talk, Watchdog(minutes=0.02), DataError, "ended after 0.02 minutes"),
        (hang, Watchdog(silent_minutes=0.02), TransientError, "no sign of progress for 0.02 minutes"),
        (eat, Watchdog(memory_share=0.03), DataError, r"it held .* GB, allowed are"),
        (die, Watchdog(), TransientError, "was killed"),
    ],
    ids=["too long", "stands still", "too much memory", "killed"],
)
def test_the_watchdog_ends_what_runs_away(work, watchdog, kind, message):
    began = time.monotonic()
    with pytest.raises(kind, match=message):
        apart.run(work, watchdog=watchdog, told=lambda told: None)
    assert time.monotonic() - began < 25


def test_it_ends_with_the_process_that_asked():
    code = "from ml import apart; import time; apart.run(time.sleep, 600)"
    asking = subprocess.Popen([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)})
    deadline = time.monotonic() + 60
    while len(children := psutil.Process(asking.pid).children(recursive=True)) < 3 and time.monotonic() < deadline:
        time.sleep(0.1)  # resource tracker, server, worker
    assert len(children) == 3
    asking.kill()
    asking.wait()
    _, alive = psutil.wait_procs(children, timeout=30)
    assert not alive


FORKED = """
import tensorflow
from ml import apart
from tests.unit import test_apart as this
apart.run(this.hang, told=lambda told: print(told["pid"], flush=True))
"""


def test_a_fork_ends_with_the_process_that_asked():
    with subprocess.Popen([sys.executable, "-c", FORKED], stdout=subprocess.PIPE, text=True) as asking:
        assert asking.stdout is not None
        forked = psutil.Process(int(asking.stdout.readline()))
        assert forked.ppid() == asking.pid  # no server between them
        asking.kill()
    psutil.wait_procs([forked], timeout=20)
    assert not forked.is_running() or forked.status() == psutil.STATUS_ZOMBIE
