"""All nights of all policies: a process for each policy, as many at once as was asked for, each going on where it stopped."""

import json
import logging
import multiprocessing
import os
import threading
from collections.abc import Sequence
from multiprocessing.connection import wait
from typing import Any

from ml import errors
from ml.backtest import world
from ml.backtest.night import play
from ml.backtest.timeline import Night
from ml.backtest.world import World
from ml.errors import EvergreenError, TransientError

log = logging.getLogger(__name__)
FAILED = "failed.json"
TOLD_EVERY = 10  # nights


def every(worlds: Sequence[World], nights: Sequence[Night], *, workers: int) -> None:
    """Play the nights that are not over; nothing runs on when this ends, however it ends.

    Raises: what a policy's replay raised. TransientError: its process was killed.
    """
    start = multiprocessing.get_context("spawn").Process
    waiting, running = list(worlds), dict[int, tuple[Any, World]]()
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                at = waiting.pop(0)
                process = start(target=_whole, args=(at, list(nights)), name=f"backtest-{at.policy}")
                process.start()
                running[process.sentinel] = process, at
            for sentinel in wait(list(running)):
                process, at = running.pop(sentinel)  # type: ignore[arg-type]
                process.join()
                if process.exitcode:
                    raise _failure(at, process.exitcode)
    finally:
        for process, _ in running.values():
            process.kill()
            process.join()


def _whole(at: World, nights: Sequence[Night]) -> None:
    """In a process of its own: one policy from the first night that is not over to the last."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    logging.getLogger("ml.backtest").setLevel(logging.INFO)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow greets in every process
    try:
        at.begin()
        (at.folder / FAILED).unlink(missing_ok=True)
        over = {night.name for night in at.played(nights)}
        for number, night in enumerate(nights, start=1):
            if night.name not in over:
                told = play(at, night)
                if number % TOLD_EVERY == 0 or number == len(nights):
                    log.info("backtest: %s %d/%d, night of %s: %s", at.policy, number, len(nights), night.name, told.why)
    except EvergreenError as error:
        world.write(at.folder / FAILED, {"kind": type(error).__name__, "why": str(error)})
        os._exit(1)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _failure(at: World, exit_code: int) -> EvergreenError:
    path = at.folder / FAILED
    if path.exists():
        told = json.loads(path.read_text())
        kind: type[EvergreenError] = getattr(errors, told["kind"], TransientError)
        return kind(f"Under the policy {at.policy}: {told['why']}")
    return TransientError(
        f"The replay under the policy {at.policy} ended with {exit_code}; its log says why, unless it was killed. The same "
        "command goes on where it stopped; lower --workers if the memory was short."
    )
