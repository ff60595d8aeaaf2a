"""How the workers of one service hear of each other: each tells what it knows of itself to whoever opens its socket."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

PATIENCE_S = 2.0
Told = dict[str, Any]


class Siblings:
    """The other workers.

    Args:
        folder: where each has a socket, named by its slot; None for a worker without siblings.
    """

    def __init__(self, folder: Path | None = None, slot: int = 0) -> None:
        self._folder = folder
        self._slot = slot

    @asynccontextmanager
    async def told(self, tell: Callable[[], Told]) -> AsyncIterator[None]:
        """Answer the others while the block lasts."""
        if self._folder is None:
            yield
            return
        mine = self._folder / f"{self._slot}.sock"
        mine.unlink(missing_ok=True)  # of one in the same place that was killed

        async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(json.dumps(tell()).encode())
            with suppress(OSError):
                await writer.drain()
            writer.close()

        server = await asyncio.start_unix_server(answer, mine)
        try:
            yield
        finally:
            server.close()

    async def ask(self) -> list[Told]:
        """What those that live and answer tell."""
        others = sorted(self._folder.glob("*.sock")) if self._folder else []
        told = await asyncio.gather(*(self._ask(other) for other in others if other.stem != str(self._slot)))
        return [one for one in told if one is not None]

    async def _ask(self, other: Path) -> Told | None:
        with suppress(OSError, ValueError, TimeoutError):
            async with asyncio.timeout(PATIENCE_S):
                reader, writer = await asyncio.open_unix_connection(other)
                found: Told = json.loads(await reader.read())
                writer.close()
                return found
        return None
