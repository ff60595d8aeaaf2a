"""Rows on their way into the request log: files of lines that outlive the process that wrote them.

A row is in a file before its answer leaves, so the end of a process, `kill -9` included, loses none; the end of the machine
may lose the last seconds, because nothing waits for the disk. Every process has files of its own and holds a lock on its
`.numbers`; whoever gets that lock finds its owner dead and takes the files over.
"""

import fcntl
import mmap
import os
import secrets
import struct
import threading
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

ROWS = ".rows1"  # the number goes up when COLUMNS change: other files are not ours to read
NUMBERS = ".numbers"
SEGMENT_BYTES = 16 * 2**20  # what goes into the table at once after the database was away
NUMBERS_BYTES = 4096
COUNTED = struct.Struct("=4q")


class Numbers(NamedTuple):
    """Rows that a process took, wrote into the table, took but could not write, and did not take."""

    taken: int = 0
    written: int = 0
    refused: int = 0
    dropped: int = 0

    def plus(self, other: "Numbers") -> "Numbers":
        """Both together."""
        return Numbers(*(ours + theirs for ours, theirs in zip(self, other, strict=True)))


class Spool:
    """The files of one process. Any thread may `put`; one thread does the rest.

    Args:
        limit_bytes: of all files in the folder, whoever wrote them; kept to within what others write in a second.
    Raises: OSError: the folder cannot be written to.
    """

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.folder = folder
        self._limit_bytes = limit_bytes
        self._name = secrets.token_hex(8)
        self._lock = threading.Lock()
        self._ready: deque[tuple[Path, int]] = deque()
        self._number = 0
        self._others_bytes = self._ready_bytes = 0
        self._counted = [0, 0, 0, 0]
        self._numbers_file = self._own_numbers()
        self._map = mmap.mmap(self._numbers_file, NUMBERS_BYTES)
        self._open_next()

    def put(self, data: bytes, num_rows: int) -> bool:
        """Keep rows; False when there is no room, which is counted.

        Raises: OSError: the disk does not take them; counted too, and nothing of them is kept.
        """
        with self._lock:
            if self._others_bytes + self._ready_bytes + self._bytes + len(data) > self._limit_bytes:
                self._count(0, 0, 0, num_rows)
                return False
            try:
                if (written := os.write(self._file, data)) < len(data):
                    os.write(self._file, data[written:])
            except OSError:
                os.ftruncate(self._file, self._bytes)
                self._count(0, 0, 0, num_rows)
                raise
            self._bytes += len(data)
            self._rows += num_rows
            self._count(num_rows, 0, 0, 0)
            return True

    def drop(self, num_rows: int) -> None:
        """Count rows that never came as far as a file."""
        with self._lock:
            self._count(0, 0, 0, num_rows)

    @property
    def waits(self) -> bool:
        """Whether any row is still here."""
        with self._lock:
            return bool(self._rows or self._ready)

    def turn(self) -> None:
        """Close the file that is written to, so that it can be written into the table; a small one grows on behind others."""
        with self._lock:
            if self._rows and (not self._ready or self._bytes > SEGMENT_BYTES):
                os.close(self._file)
                self._ready.append((self._path, self._rows))
                self._ready_bytes += self._bytes
                self._open_next()

    def oldest(self) -> Path | None:
        """The oldest file that no one writes to any more; it stays until `done`."""
        with self._lock:
            return self._ready[0][0] if self._ready else None

    def done(self, *, refused: int = 0) -> None:
        """The oldest file is in the table, but for rows that the table refused."""
        with self._lock:
            path, num_rows = self._ready.popleft()
            self._ready_bytes -= path.stat().st_size
            path.unlink()
            self._count(0, num_rows - refused, refused, 0)

    def adopt(self) -> int:
        """Take over what dead processes left; returns the number of rows. Also looks how much room there is."""
        num_rows = 0
        for path in self.folder.glob(f"*{NUMBERS}"):
            if path.stem != self._name and (held := _unowned(path)) is not None:
                try:
                    num_rows += self._inherit(path, held)
                finally:
                    os.close(held)
        sizes = sum(_size(path) for path in self.folder.glob(f"*{ROWS}") if not path.name.startswith(self._name))
        with self._lock:
            self._others_bytes = sizes
        return num_rows

    def complain(self, reason: str) -> None:
        """Leave word, for whoever asks any process, of why rows wait; empty when they do not."""
        told = reason.encode()[: NUMBERS_BYTES - COUNTED.size - 1]
        with self._lock:
            self._map[COUNTED.size :] = told.ljust(NUMBERS_BYTES - COUNTED.size, b"\0")

    def close(self) -> int:
        """Let go of the files; what still waits is the next process's. Returns how many rows that is."""
        with self._lock:
            os.close(self._file)
            waiting = self._rows + sum(num_rows for _, num_rows in self._ready)
            if not self._rows:
                self._path.unlink()
            if not waiting:
                (self.folder / f"{self._name}{NUMBERS}").unlink()
            self._map.close()
            os.close(self._numbers_file)
            return waiting

    def _inherit(self, numbers: Path, held: int) -> int:
        left = [path for path in self.folder.glob(f"{numbers.stem}.*{ROWS}")]
        waiting = 0
        for path in sorted(left, key=_place):
            num_rows, size = path.read_bytes().count(b"\n"), path.stat().st_size
            if not num_rows:
                path.unlink()
                continue
            with self._lock:
                self._ready.append((path.rename(self._new_path()), num_rows))
                self._ready_bytes += size
            waiting += num_rows
        counted = Numbers(*COUNTED.unpack(os.pread(held, COUNTED.size, 0)))
        with self._lock:  # `taken` is what the files say: the process may have died between file and number
            self._count(*counted._replace(taken=counted.written + counted.refused + waiting))
        numbers.unlink()
        return waiting

    def _own_numbers(self) -> int:
        """Made aside and locked before it has its name, so that nobody takes it for a dead process's."""
        scratch = self.folder / f".{self._name}"
        file = os.open(scratch, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(file, fcntl.LOCK_EX)
        os.posix_fallocate(file, 0, NUMBERS_BYTES)  # a full disk is met here and not in the map
        scratch.rename(self.folder / f"{self._name}{NUMBERS}")
        return file

    def _open_next(self) -> None:
        self._rows = self._bytes = 0  # of the file that is written to
        self._path = self._new_path()
        self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def _new_path(self) -> Path:
        self._number += 1
        return self.folder / f"{self._name}.{self._number}{ROWS}"

    def _count(self, *more: int) -> None:
        for place, number in enumerate(more):
            self._counted[place] += number
        COUNTED.pack_into(self._map, 0, *self._counted)


def _place(path: Path) -> int:
    return int(path.name.split(".")[1])


def numbers(folder: Path) -> tuple[Numbers, str]:
    """What all processes counted together, and why rows wait, if somebody said."""
    total, reason = Numbers(), ""
    for path in folder.glob(f"*{NUMBERS}"):
        try:
            held = path.read_bytes()
        except FileNotFoundError:  # its process just ended in good order
            continue
        if len(held) == NUMBERS_BYTES:
            total = total.plus(Numbers(*COUNTED.unpack_from(held)))
            reason = held[COUNTED.size :].rstrip(b"\0").decode(errors="ignore") or reason
    return total, reason


def scrub(folder: Path, meant: Callable[[bytes], bool], *, remove: bool) -> int:
    """How many waiting lines are meant; blanks them when asked to.

    Lines are overwritten where they stand, for their process may be writing behind them.
    """
    num_rows = 0
    for path in folder.glob(f"*{ROWS}"):
        try:
            file = os.open(path, os.O_RDWR)
        except FileNotFoundError:  # written and done meanwhile
            continue
        try:
            for start, line in _lines(os.pread(file, os.fstat(file).st_size, 0)):
                if meant(line):
                    num_rows += 1
                    if remove:
                        os.pwrite(file, b" " * len(line), start)
        finally:
            os.close(file)
    return num_rows


def _lines(data: bytes) -> Iterator[tuple[int, bytes]]:
    start = 0
    while (end := data.find(b"\n", start)) >= 0:
        yield start, data[start:end]
        start = end + 1


def _unowned(path: Path) -> int | None:
    """An open file with the lock of a dead process; None when it lives, or somebody else was faster."""
    try:
        file = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        return None
    if os.fstat(file).st_nlink == 0:
        os.close(file)
        return None
    return file


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
