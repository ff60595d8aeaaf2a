"""Work in a process of its own, under a watchdog: what leaks, hangs or runs away there ends there."""

import multiprocessing
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from typing import Any, TypeVar

import psutil  # type: ignore[import-untyped]

from ml.errors import DataError, TransientError
from ml.problem import Watchdog

J = TypeVar("J")
R = TypeVar("R")
Tell = Callable[[Any], None]
POLL_S = 0.2
MINUTE = 60.0
PRELOADED = ["tensorflow", "keras", "ml.train.job"]


def run(work: Callable[[J, Tell], R], job: J, *, watchdog: Watchdog, told: Tell) -> R:
    """Do `work(job, tell)` in another process and return what it returned; what it tells arrives here in order.

    Telling is also the sign of life. If this process dies, the other one ends too.

    Raises:
        DataError: it took too long or too much memory.
        TransientError: it stood still, or was killed.
        What the work raised, with its traceback as a note.
    """
    context = multiprocessing.get_context(_method())
    here, there = context.Pipe()
    forked = context.get_start_method() == "fork"
    arguments = (work, job, there, here if forked else None)
    process = context.Process(target=_do, args=arguments, daemon=True, name="training")  # type: ignore[attr-defined]
    process.start()
    there.close()
    try:
        return _watch(here, psutil.Process(process.pid), watchdog, told)  # type: ignore[no-any-return]
    finally:
        process.kill()
        process.join()
        here.close()


def _method() -> str:
    """How to start: a fork has TensorFlow in memory already, but works only where TensorFlow has not begun to compute.

    A process that has (a whole night by hand, a test) asks a clean server for its forks, which imports TensorFlow once.
    """
    if "tensorflow" not in sys.modules:
        return "fork"
    from tensorflow.python.eager import context

    begun = context.context_safe()
    if begun is None or not begun._initialized:
        return "fork"
    multiprocessing.get_context("forkserver").set_forkserver_preload(PRELOADED)
    return "forkserver"


def get_ready() -> None:
    """Let the clean server import TensorFlow beside what comes before the training, in a process that will compute itself."""
    multiprocessing.get_context("forkserver").set_forkserver_preload(PRELOADED)
    forkserver.ensure_running()


def _do(work: Callable[[Any, Tell], Any], job: Any, there: Connection, here: Connection | None) -> None:
    """The other process: every message is a pair of a kind and its content."""
    if here is not None:
        here.close()  # the fork's copy; with it open, the end of the first process would go unseen
    threading.Thread(target=_end_with, args=(there,), daemon=True).start()
    try:
        there.send(("done", work(job, lambda content: there.send(("told", content)))))
    except BaseException as error:  # noqa: BLE001 - raised again in the process that waits
        error.add_note(f"In the process apart:\n{traceback.format_exc()}")
        there.send(("failed", error))


def _end_with(there: Connection) -> None:
    """Nothing is ever sent this way, so reading ends when the first process does."""
    try:
        there.recv()
    except (EOFError, OSError):
        os._exit(1)


def _watch(here: Connection, process: psutil.Process, watchdog: Watchdog, told: Tell) -> Any:
    began = heard = time.monotonic()
    allowed = watchdog.memory_share * psutil.virtual_memory().total
    while True:
        if here.poll(POLL_S):
            try:
                kind, content = here.recv()
            except EOFError:
                raise TransientError(
                    "The process of the training was killed, perhaps for want of memory. The next try goes on from its last "
                    "checkpoint; give the machine more memory, or lower [split] train_days, if that happens again."
                ) from None
            if kind == "done":
                return content
            if kind == "failed":
                raise content
            heard = time.monotonic()
            told(content)
        _refuse(watchdog, time.monotonic() - began, time.monotonic() - heard)
        _refuse_memory(process, allowed)


def _refuse(watchdog: Watchdog, running_s: float, silent_s: float) -> None:
    """Raises: see `run`."""
    if running_s > watchdog.minutes * MINUTE:
        raise DataError(
            f"The training was ended after {watchdog.minutes:g} minutes ([training] watchdog.minutes). Lower epochs or "
            "train_days, or allow more time."
        )
    if silent_s > watchdog.silent_minutes * MINUTE:
        raise TransientError(
            f"The training was ended: no sign of progress for {watchdog.silent_minutes:g} minutes ([training] "
            "watchdog.silent_minutes). The next try goes on from its last checkpoint."
        )


def _refuse_memory(process: psutil.Process, allowed: float) -> None:
    """Raises: see `run`."""
    try:
        held = process.memory_info().rss
    except psutil.NoSuchProcess:
        return  # it has just ended; what it sent last is still to be read
    if held > allowed:
        raise DataError(
            f"The training was ended: it held {held / 1e9:.1f} GB, allowed are {allowed / 1e9:.1f} GB ([training] "
            "watchdog.memory_share). Lower [split] train_days or the vocabularies."
        )
