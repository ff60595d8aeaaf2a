"""How many requests a client may send: a token bucket that all worker processes share."""

import mmap
import os
import struct
import time
from pathlib import Path

BURST_S = 10.0  # a client may send at once what it may send in so many seconds
MOMENT = struct.Struct("=d")


class Limits:
    """One number per client, in a file of its own that every process maps.

    The generic cell rate algorithm (ITU-T I.371): the number is the moment at which all that was sent would be allowed for.
    Two processes that write at the very same moment may let one request more through; nobody waits for a lock.

    Args:
        folder: on a local disk, shared by the processes of a service.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._maps: dict[str, mmap.mmap] = {}

    def wait_s(self, client: str, per_minute: int) -> float:
        """Take one request's worth; returns 0 when there was room, else the seconds until there is, and takes nothing."""
        each = 60.0 / per_minute
        held = self._maps.get(client) or self._open(client)
        now = time.monotonic()
        (due,) = MOMENT.unpack_from(held)
        due = now if due < now or due > now + 2 * BURST_S + each else due  # the second: left by an earlier start of the machine
        late = due + each - now - max(BURST_S, each)
        if late > 0:
            return float(late)
        MOMENT.pack_into(held, 0, due + each)
        return 0.0

    def _open(self, client: str) -> mmap.mmap:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = os.open(self._folder / client, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            os.posix_fallocate(file, 0, mmap.PAGESIZE)
            self._maps[client] = mmap.mmap(file, mmap.PAGESIZE)
        finally:
            os.close(file)
        return self._maps[client]
