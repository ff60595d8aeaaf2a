"""A function in a process of its own: its answer, its error, its end."""

import os
import signal
import subprocess
import sys
import time

import psutil  # type: ignore[import-untyped]
import pytest

from ml import forked
from ml.errors import DataError, TransientError


def double(value: int) -> tuple[int, int]:
    return 2 * value, os.getpid()


def refuse() -> None:
    raise DataError("no")


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_it_answers_from_another_process():
    value, process = forked.run(60, double, 21)
    assert value == 42
    assert process != os.getpid()


def test_its_server_has_imported_tensorflow():
    assert forked.run(120, loaded) == (True, False)


def loaded() -> tuple[bool, bool]:
    """Whether TensorFlow was there before anything asked for it, and whether it had computed."""
    known = "tensorflow" in sys.modules
    from tensorflow.python.eager import context

    return known, context.context_safe() is not None and bool(context.context()._initialized)


def test_its_error_comes_back():
    with pytest.raises(DataError, match="no") as caught:
        forked.run(60, refuse)
    assert "in refuse" in "".join(caught.value.__notes__)


def test_it_is_ended_in_time():
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        forked.run(0.5, time.sleep, 100)
    assert time.monotonic() - began < 20


def test_a_killed_one_is_worth_another_try():
    with pytest.raises(TransientError, match="killed"):
        forked.run(60, die)


def test_it_ends_with_the_process_that_asked():
    code = "from ml import forked; import time; forked.run(None, time.sleep, 600)"
    asking = subprocess.Popen([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)})
    deadline = time.monotonic() + 60
    while len(children := psutil.Process(asking.pid).children(recursive=True)) < 3 and time.monotonic() < deadline:
        time.sleep(0.1)  # resource tracker, server, worker
    assert len(children) == 3
    asking.kill()
    asking.wait()
    _, alive = psutil.wait_procs(children, timeout=30)
    assert not alive
