"""A function in a process of its own, forked from a clean server that has only imported TensorFlow.

Keras leaks memory over many fits, and a process that has computed with TensorFlow must not be forked; the server never computes.
A worker starts in a few tenths of a second instead of the seconds that the import takes.
"""

import multiprocessing
import os
import threading
import time
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, ParamSpec, TypeVar

from ml.errors import TransientError

PRELOADED = ["tensorflow", "keras"]
P = ParamSpec("P")
R = TypeVar("R")


def run(seconds: float | None, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call `work` in another process and return what it returned. If this process dies, the other one ends too.

    Args:
        seconds: how long it may take, None for as long as it likes.
        work: a function of a module; it and its arguments are pickled.
    Raises:
        TimeoutError: it took longer, and was ended.
        TransientError: it was killed, perhaps for want of memory.
        What the work raised, with its traceback as a note.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    here, there = context.Pipe()
    process = context.Process(target=_do, args=(there, work, args, kwargs), daemon=True)
    process.start()
    there.close()
    try:
        kind, content = _answer(here, seconds)
    finally:
        process.kill()
        process.join()
        here.close()
    if kind == "failed":
        raise content
    return content  # type: ignore[no-any-return]


def _answer(here: Connection, seconds: float | None) -> tuple[str, Any]:
    began = time.monotonic()
    try:
        if not here.poll(seconds):
            raise TimeoutError(f"ended after {time.monotonic() - began:.0f} s")
        kind, content = here.recv()
    except (EOFError, ConnectionResetError):
        raise TransientError(
            "A process that trains was killed, perhaps for want of memory. Try again; if that happens again, give the machine "
            "more memory, or lower [split] train_days."
        ) from None
    return kind, content


def _do(there: Connection, work: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    threading.Thread(target=_end_with, args=(there,), daemon=True).start()
    try:
        there.send(("done", work(*args, **kwargs)))
    except BaseException as error:  # noqa: BLE001 - raised again in the process that waits
        error.add_note(f"In the process apart:\n{traceback.format_exc()}")
        there.send(("failed", error))


def _end_with(there: Connection) -> None:
    """Nothing is ever sent this way, so reading ends when the first process does."""
    try:
        there.recv()
    except (EOFError, OSError):
        os._exit(1)
