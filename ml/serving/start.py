"""What a worker answers with from its start on: what the service's documents say, and these follow the ledger."""

import logging
import threading
import time
from collections.abc import Collection, Mapping
from pathlib import Path

from ml import problem as problems
from ml.errors import ConfigError, EvergreenError
from ml.serving.champions import Champions
from ml.serving.live import LiveModel
from ml.serving.moves import Moves
from ml.serving.shared import TICK_S
from ml.settings import Settings
from ml.store import store_of

logger = logging.getLogger("uvicorn.error")
FOLLOW_S = 5.0


def open_problems(settings: Settings, folder: Path, but: Collection[str] = ()) -> tuple[dict[str, LiveModel], dict[str, str]]:
    """A live model, still empty, per problem file, and why a file that is wrong is not served.

    Args:
        folder: of the service, for local copies of models.
        but: names of problems that are open already.
    """
    live: dict[str, LiveModel] = {}
    broken: dict[str, str] = {}
    for name in sorted(set(problems.names(settings.problems)) - set(but)):
        try:
            problem = problems.load(name, settings.problems)
        except ConfigError as error:
            logger.error("%s is not served: %s", name, error)
            broken[name] = str(error)
        else:
            live[name] = LiveModel(problem, store_of(name, settings), settings.now, folder)
    return live, broken


class Starter:
    """Brings a worker to what the service answers with, and keeps it there.

    One worker of the service leads: it asks the ledger at the start, before anybody answers, and every FOLLOW_S seconds from then
    on, so that a champion whose deployment never came takes over all the same. When it ends another one leads.
    """

    def __init__(self, champions: Champions, moves: Moves) -> None:
        self._champions = champions
        self._moves = moves
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=work, name=work.__name__, daemon=True) for work in (self._follow, self._lead)]

    @property
    def ledger_complaint(self) -> str:
        """Why the ledger cannot be asked; empty when it can, or when another worker asks it."""
        return self._champions.complaint

    def start(self) -> None:
        """Returns when every problem answers as well as it can now."""
        shared = self._moves.shared
        while not shared.settled:
            if shared.lead():
                self._champions.settle()
                shared.settle()
            else:
                time.sleep(TICK_S)
        shared.take()  # from here on a change waits for this worker, so it never answers with what was replaced
        self._moves.follow()
        for thread in self._threads:
            thread.start()

    def adopt(self, found: Mapping[str, LiveModel]) -> None:
        """Serve the champions of problems that were found after the start."""
        self._moves.follow()
        self._champions.settle({name: live for name, live in found.items() if live.state.current is None})

    def stop(self) -> None:
        """End the background threads."""
        self._stop.set()
        self._moves.changed.set()
        self._moves.shared.retire()

    def _follow(self) -> None:
        while not self._stop.wait(TICK_S):
            try:
                self._moves.follow()
            except EvergreenError as error:
                logger.error("changes of other workers cannot be taken over: %s", error)

    def _lead(self) -> None:
        while not self._stop.is_set():
            self._moves.changed.wait(FOLLOW_S)  # the ledger is looked at right after a change: what it says then, counts as known
            self._moves.changed.clear()
            try:
                if self._moves.shared.lead():
                    self._champions.follow()
            except EvergreenError as error:
                logger.error("the champions cannot be followed: %s", error)
