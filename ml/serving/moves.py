"""Changes of what answers: one at a time in the whole service, and in every worker before it is done."""

import logging
import threading
from collections.abc import Callable, Mapping

from ml.errors import EvergreenError, RefusedError
from ml.serving.live import LiveModel
from ml.serving.shared import Document, Shared

logger = logging.getLogger("uvicorn.error")


class Moves:
    """Carries changes from the worker that was asked to the others.

    Args:
        live: the models of this worker, by problem.
        find: looks for problems that are not in `live` yet.
    """

    def __init__(self, live: Mapping[str, LiveModel], shared: Shared, find: Callable[[str], bool]) -> None:
        self.shared = shared
        self.changed = threading.Event()  # set by every change; whoever waits for it clears it
        self._live = live
        self._find = find
        self._applying = threading.Lock()
        self._reached: dict[str, int] = {}
        self._seen: dict[str, int] = {}

    def change(
        self, name: str, action: Callable[[LiveModel], object], *, entry: int | None = None, since: int | None = None
    ) -> int | None:
        """Change what answers in this worker, then in all others.

        Args:
            action: changes the live model; when it raises, nothing has changed. When it returns False, something is away and the
                move of the ledger is not followed yet.
            entry: the move of the ledger that this follows; None when somebody else asks for it.
            since: do nothing when the problem's document has changed since this one.
        Returns: how many changes there have been now; None when nothing was done.
        Raises: whatever `action` does. RefusedError: another worker cannot do the same; all are as before.
            TransientError: another worker takes too long, or the folder cannot be written.
        """
        with self.shared.alone():
            live, before = self._live[name], self.shared.read(name)
            if since is not None and since != before.sequence:
                return None
            with self._applying:
                moves, followed = live.moves, action(live) is not False
                if not followed and live.moves == moves:
                    return None
                try:
                    sequence = self._write(name, live, entry if followed else before.entry)
                except EvergreenError:
                    live.take_over(before.wanted, before.origin)
                    raise
            if refused := self.shared.wait(name, sequence):
                with self._applying:
                    live.take_over(before.wanted, before.origin)
                    self._write(name, live, before.entry)
                raise RefusedError(f"{'; '.join(refused)}. All workers go on as before.")
            return sequence

    def know(self, name: str, entry: int) -> None:
        """Note that a move of the ledger has been seen, whether it was followed or not."""
        with self.shared.alone():
            self.shared.write(name, self.shared.read(name).model_copy(update={"entry": entry}))

    def follow(self) -> None:
        """Take over what other workers have changed, and tell them."""
        for name, stamp in self.shared.changes().items():
            if self._seen.get(name) != stamp and (name in self._live or self._find(name)):
                self._take_over(name)
                self._seen[name] = stamp

    def _write(self, name: str, live: LiveModel, entry: int | None) -> int:
        sequence = max(self.shared.read(name).sequence, self._reached.get(name, 0)) + 1
        wanted, current = live.state.wanted, live.state.current
        origin, since = (current.origin, current.since) if current else ("deploy", None)
        self.shared.write(name, Document(sequence=sequence, wanted=wanted, origin=origin, since=since, entry=entry))
        self._reached[name] = sequence
        self.changed.set()
        live.copies.forget(
            version for version in (wanted.version, wanted.previous, wanted.plan and wanted.plan.challenger) if version
        )
        self.shared.take(name, sequence)
        return sequence

    def _take_over(self, name: str) -> None:
        """Also what cannot be loaded is told of: who changed it takes it back."""
        with self._applying:
            document = self.shared.read(name)
            if document.sequence <= self._reached.get(name, 0):
                return
            complaint = ""
            try:
                self._live[name].take_over(document.wanted, document.origin)
            except EvergreenError as error:
                logger.error("%s: this worker cannot take over what another has changed: %s", name, error)
                complaint = str(error)
            self._reached[name] = document.sequence
            self.changed.set()
            self.shared.take(name, document.sequence, complaint)
