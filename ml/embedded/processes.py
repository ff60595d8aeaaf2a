"""Programs of the stack: each in a session of its own, with a log, recorded so that another command can end it."""

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from ml.errors import TransientError

LOG_TAIL_LINES = 25

# what this interpreter started itself: it has to collect their ends, or they stay as zombies
_children: dict[int, subprocess.Popen[bytes]] = {}


@dataclass(frozen=True)
class Program:
    """One program of a stack. `home` is the stack's folder; the log is <home>/logs/<name>.log."""

    name: str
    home: Path

    @property
    def log(self) -> Path:
        """Where it writes what it has to say."""
        return self.home / "logs" / f"{self.name}.log"

    @property
    def _record(self) -> Path:
        return self.home / "run" / f"{self.name}.json"

    @property
    def pid(self) -> int | None:
        """Process id while it runs, None otherwise."""
        leader = self._leader()
        return leader.pid if leader else None

    def start(self, command: Sequence[str], environment: Mapping[str, str], *, directory: Path | None = None) -> None:
        """Start it, unless it runs already. The parent may end without ending it."""
        if self.pid is not None:
            return
        for file in (self.log, self._record):
            file.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            child = subprocess.Popen(
                command,
                env=dict(environment),
                cwd=directory or self.home,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        _children[child.pid] = child
        record = {"pid": child.pid, "started": psutil.Process(child.pid).create_time()}
        self._record.write_text(json.dumps(record) + "\n")

    def run(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """Run it to its end.

        Raises: TransientError: it ended with a status other than 0; the end of its log is told.
        """
        self.start(command, environment)
        child = _children.get(json.loads(self._record.read_text())["pid"])  # not `self.pid`: a short program may be over already
        status = child.wait() if child else 0
        self._record.unlink(missing_ok=True)
        if status != 0:
            raise TransientError(f"{self.name} ended with status {status}. The end of {self.log}:\n{self.tail()}")

    def wait_until(self, ready: Callable[[], bool], *, timeout_s: float = 120) -> None:
        """Wait for a condition that the program brings about.

        Raises: TransientError: it ended, or the time is over; the end of its log is told.
        """
        deadline = time.monotonic() + timeout_s
        while not ready():
            leader = self.demand()
            if time.monotonic() > deadline:
                raise TransientError(f"{self.name} was not ready after {timeout_s:.0f} s. The end of {self.log}:\n{self.tail()}")
            with suppress(psutil.TimeoutExpired):
                leader.wait(timeout=0.2)

    def listens(self, port: int) -> bool:
        """Whether it, and no stranger, accepts connections on a TCP port."""
        return any(port in _listening(member) for member in self._members())

    def demand(self) -> psutil.Process:
        """The running process.

        Raises: TransientError: it has ended; the end of its log is told.
        """
        leader = self._leader()
        if leader is None:
            raise TransientError(f"{self.name} has ended, though it should run. The end of {self.log}:\n{self.tail()}")
        return leader

    def tail(self) -> str:
        """The last lines of the log."""
        if not self.log.exists():
            return "(nothing was written)"
        with self.log.open("rb") as file:
            file.seek(max(0, self.log.stat().st_size - 20_000))
            lines = file.read().decode(errors="replace").splitlines()
        return "\n".join(f"  {line}" for line in lines[-LOG_TAIL_LINES:]) or "(nothing was written)"

    def stop(self, *, by: signal.Signals = signal.SIGTERM, grace_s: float = 10, group: bool = True) -> None:
        """End it and everything it started: politely first, by force after `grace_s`.

        Args:
            by: the polite signal.
            grace_s: how long the polite signal may take, seconds.
            group: False sends the polite signal to the program alone, for one that ends its own children.
        """
        members = self._members()
        for member in members if group else [m for m in members if m == self._leader()]:
            _signal(member, by)
        psutil.wait_procs(members, timeout=grace_s)
        for _ in range(3):  # a program that is being killed may still have started another
            alive = [member for member in {*members, *self._members()} if member.is_running()]
            for member in alive:
                _signal(member, signal.SIGKILL)
            psutil.wait_procs(alive, timeout=2)
        self._collect()
        self._record.unlink(missing_ok=True)

    def _members(self) -> list[psutil.Process]:
        """Every process of the session, also when its leader is gone, and children that left the session."""
        if not self._record.exists():
            return []
        record = json.loads(self._record.read_text())
        leader = self._leader()
        if leader is None and (psutil.pid_exists(record["pid"]) or record["started"] < psutil.boot_time()):
            return []  # the number belongs to somebody else by now
        members = {process for process in psutil.process_iter() if _session_of(process) == record["pid"]}
        return [*(members | set(leader.children(recursive=True)) if leader else members)]

    def _leader(self) -> psutil.Process | None:
        """The running program; a process that only got the same number later does not count."""
        self._collect()
        if not self._record.exists():
            return None
        record = json.loads(self._record.read_text())
        try:
            found = psutil.Process(record["pid"])
            return found if abs(found.create_time() - record["started"]) < 1 else None
        except psutil.NoSuchProcess:
            return None

    def _collect(self) -> None:
        """Collect the end of a child of this interpreter, so that it does not look alive."""
        for pid, child in list(_children.items()):  # a copy, and no complaint: other threads start and collect too
            if child.poll() is not None:
                _children.pop(pid, None)


def free_port(preferred: int) -> int:
    """`preferred` when nobody listens there, else any free port of 127.0.0.1."""
    for port in (preferred, 0):
        with socket.socket() as candidate:
            candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                candidate.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(candidate.getsockname()[1])
    raise TransientError("No TCP port of 127.0.0.1 is free. End some programs and start again.")


def _listening(process: psutil.Process) -> set[int]:
    try:
        connections = process.net_connections("tcp")
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return set()
    return {connection.laddr.port for connection in connections if connection.status == psutil.CONN_LISTEN}


def _session_of(process: psutil.Process) -> int | None:
    try:
        return os.getsid(process.pid)
    except (ProcessLookupError, PermissionError):
        return None


def _signal(process: psutil.Process, by: signal.Signals) -> None:
    with suppress(psutil.NoSuchProcess):
        process.send_signal(by)
