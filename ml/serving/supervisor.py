"""The parent of the workers: starts them, starts one anew when it dies, and ends when all have ended."""

import gc
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from ml.errors import TransientError

SIGNALS = {signal.SIGTERM, signal.SIGINT, signal.SIGCHLD}
BAD_START = 3  # uvicorn's status when an application cannot start: it could not the next time either
YOUNG_S = 5.0  # a worker that dies sooner has to wait before it is started again, each time twice as long
LONGEST_PAUSE_S = 10.0


@dataclass
class Slot:
    """The place of one worker."""

    pid: int = 0
    started: float = 0.0
    due: float = 0.0  # when it may be started again
    pause_s: float = 0.0


@dataclass
class Supervisor:
    """Forks workers that all accept from one socket, so a connection that waits is taken by whoever lives.

    A fork of this small process costs milliseconds and shares the memory of what is imported. It must have no threads.

    Args:
        work: what a worker does, given its slot and a file descriptor that reads as ended when this process does.
        grace_s: how long workers may take to finish what they took in.
    """

    work: Callable[[int, int], int]
    num_workers: int
    grace_s: float
    slots: list[Slot] = field(default_factory=list)

    def run(self) -> int:
        """Until a signal asks for the end; returns the exit status.

        Raises: TransientError: workers did not end in time and were killed.
        """
        gc.collect()
        gc.freeze()  # what is imported stays shared: the collector of a worker does not touch it
        self._lifeline = os.pipe()
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        self.slots = [Slot() for _ in range(self.num_workers)]
        while True:
            self._start_due()
            told = signal.sigtimedwait(SIGNALS, self._until_due())
            failed = self._collect()
            if failed or (told is not None and told.si_signo != signal.SIGCHLD):
                self._end()
                return 1 if failed else 0

    def _start_due(self) -> None:
        for number, slot in enumerate(self.slots):
            if not slot.pid and slot.due <= time.monotonic():
                sys.stdout.flush()
                sys.stderr.flush()
                slot.started = time.monotonic()
                slot.pid = os.fork() or self._become_worker(number)

    def _become_worker(self, number: int) -> int:
        status = 1
        try:
            os.close(self._lifeline[1])
            for one in SIGNALS:
                signal.signal(one, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
            status = self.work(number, self._lifeline[0])
        except SystemExit as error:
            status = error.code if isinstance(error.code, int) else 1
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)

    def _until_due(self) -> float:
        waits = [slot.due - time.monotonic() for slot in self.slots if not slot.pid]
        return max(0.0, min(waits, default=3600.0))

    def _collect(self) -> bool:
        """Take note of workers that have ended; True when one cannot start at all."""
        failed = False
        with suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if not pid:
                    break
                for number, slot in enumerate(self.slots):
                    if slot.pid == pid:
                        failed |= self._ended(number, slot, os.waitstatus_to_exitcode(status))
        return failed

    def _ended(self, number: int, slot: Slot, status: int) -> bool:
        young = time.monotonic() - slot.started < YOUNG_S
        slot.pause_s = min(max(0.5, 2 * slot.pause_s), LONGEST_PAUSE_S) if young else 0.0
        slot.pid, slot.due = 0, time.monotonic() + (0 if status == -signal.SIGKILL else slot.pause_s)
        sys.stderr.write(f"worker {number} has ended with status {status}; it is started again\n")
        return status == BAD_START

    def _end(self) -> None:
        self._signal(signal.SIGTERM)
        end = time.monotonic() + self.grace_s
        while any(slot.pid for slot in self.slots) and time.monotonic() < end:
            signal.sigtimedwait({signal.SIGCHLD}, 0.2)
            self._collect()
        if late := [slot.pid for slot in self.slots if slot.pid]:
            self._signal(signal.SIGKILL)
            raise TransientError(f"Workers {late} did not end within {self.grace_s:.0f} s and were killed.")

    def _signal(self, by: signal.Signals) -> None:
        for slot in self.slots:
            if slot.pid:
                with suppress(ProcessLookupError):
                    os.kill(slot.pid, by)
