"""Work in a process of its own, where limits are set: what leaks, hangs or runs away there ends there."""

import multiprocessing
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from multiprocessing.context import BaseContext
from typing import Any, TypeVar

import psutil  # type: ignore[import-untyped]

from ml.errors import DataError, TransientError
from ml.problem import Watchdog

R = TypeVar("R")
Tell = Callable[[Any], None]
POLL_S = 0.2
MINUTE = 60.0
PRELOADED = ["tensorflow", "keras", "ml.train.job"]


def run(
    work: Callable[..., R], *args: Any, watchdog: Watchdog | None = None, seconds: float | None = None, told: Tell | None = None
) -> R:
    """Call `work` in another process and return what it returned. If this process dies, the other one ends too.

    Args:
        work: a function of a module; it, its arguments and its answer are pickled. With `told` it takes one argument more, a
            function: what it tells arrives at `told` in order, and is the sign of life that the watchdog asks for.
    Raises:
        DataError: it took longer or more memory than the watchdog allows.
        TimeoutError: it took longer than `seconds`.
        TransientError: it stood still, or was killed.
        What the work raised, with its traceback as a note.
    """
    process_context = context()
    here, there = process_context.Pipe()
    forked = process_context.get_start_method() == "fork"
    arguments = (work, args, there, here if forked else None, told is not None)
    process = process_context.Process(target=_do, args=arguments, daemon=True, name="training")  # type: ignore[attr-defined]
    process.start()
    there.close()
    try:
        return _watch(here, psutil.Process(process.pid), watchdog, seconds, told)  # type: ignore[no-any-return]
    finally:
        process.kill()
        process.join()
        here.close()


def context() -> BaseContext:
    """How to start a process: a fork has TensorFlow in memory already, but works only where TensorFlow has not begun to compute.

    Others (a whole night by hand, a search, a test) ask a clean server for its forks, which imports TensorFlow once.
    """
    if "tensorflow" in sys.modules:
        from tensorflow.python.eager.context import context_safe

        begun = context_safe()
        if begun is None or not begun._initialized:
            return multiprocessing.get_context("fork")
    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload(PRELOADED)
    return server


def get_ready() -> None:
    """Let the clean server import TensorFlow beside what comes before the training, in a process that will compute itself."""
    multiprocessing.get_context("forkserver").set_forkserver_preload(PRELOADED)
    forkserver.ensure_running()


def _do(work: Callable[..., Any], args: tuple[Any, ...], there: Connection, here: Connection | None, tells: bool) -> None:
    """The other process: every message is a pair of a kind and its content."""
    if here is not None:
        here.close()  # the fork's copy; with it open, the end of the first process would go unseen
    threading.Thread(target=_end_with, args=(there,), daemon=True).start()
    more = (lambda content: there.send(("told", content)),) if tells else ()
    try:
        there.send(("done", work(*args, *more)))
    except BaseException as error:  # noqa: BLE001 - raised again in the process that waits
        error.add_note(f"In the process apart:\n{traceback.format_exc()}")
        there.send(("failed", error))


def _end_with(there: Connection) -> None:
    """Nothing is ever sent this way, so reading ends when the first process does."""
    try:
        there.recv()
    except (EOFError, OSError):
        os._exit(1)


def _watch(here: Connection, process: psutil.Process, watchdog: Watchdog | None, seconds: float | None, told: Tell | None) -> Any:
    began = heard = time.monotonic()
    while True:
        if here.poll(POLL_S):
            try:
                kind, content = here.recv()
            except (EOFError, ConnectionResetError):
                raise TransientError(
                    "A process that trains was killed, perhaps for want of memory. The next try goes on from what was kept last; "
                    "give the machine more memory, or lower [split] train_days, if that happens again."
                ) from None
            if kind == "done":
                return content
            if kind == "failed":
                raise content
            heard = time.monotonic()
            if told:
                told(content)
        now = time.monotonic()
        if seconds is not None and now - began > seconds:
            raise TimeoutError(f"ended after {now - began:.0f} s")
        if watchdog:
            _refuse(watchdog, now - began, now - heard)
            _refuse_memory(process, watchdog.memory_share * psutil.virtual_memory().total)


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
