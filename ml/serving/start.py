"""What to serve when the service starts: the ledger's champion, or what served last while the ledger is away."""

import logging
import threading
from collections.abc import Collection, Mapping

from ml import database
from ml import problem as problems
from ml.errors import ConfigError, EvergreenError, TransientError
from ml.ledger import Ledger
from ml.serving.live import LiveModel
from ml.serving.schemas import Version
from ml.settings import Settings
from ml.store import store_of

logger = logging.getLogger("uvicorn.error")
RETRY_S = 5.0


def open_problems(settings: Settings, but: Collection[str] = ()) -> tuple[dict[str, LiveModel], dict[str, str]]:
    """A live model, still empty, per problem file, and why a file that is wrong is not served.

    Args:
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
            live[name] = LiveModel(problem, store_of(name, settings), settings.now)
    return live, broken


class Starter:
    """Loads each problem's champion; goes on asking in the background while the ledger cannot be reached."""

    def __init__(self, settings: Settings, live: Mapping[str, LiveModel]) -> None:
        self.ledger_complaint = ""
        self._settings = settings
        self._live = live
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep_asking, name="ledger", daemon=True)

    def start(self) -> None:
        """Returns when every problem answers as well as it can now."""
        if not self._ask_ledger():
            for live in self._live.values():
                serve_note(live)
            self._thread.start()

    def adopt(self, found: Mapping[str, LiveModel]) -> None:
        """Serve the champions of problems that were found after the start."""
        if not self._ask_ledger(found):
            for live in found.values():
                serve_note(live)

    def stop(self) -> None:
        """End the background thread."""
        self._stop.set()

    def _keep_asking(self) -> None:
        while not self._stop.wait(RETRY_S):
            if self._ask_ledger():
                return

    def _ask_ledger(self, some: Mapping[str, LiveModel] | None = None) -> bool:
        """Serve what the ledger names; False when the ledger, or the store of a model, cannot be asked."""
        asked = dict(self._live if some is None else some)  # a copy: problems may be found meanwhile
        moves = {name: live.moves for name, live in asked.items()}
        try:
            database.migrate(self._settings.database_url)
            ledger = Ledger(self._settings.database_url, now=self._settings.now)
            champions = {name: ledger.champion(name) for name in asked}
        except EvergreenError as error:
            if self.ledger_complaint != str(error):
                logger.warning("the ledger cannot be asked for the champions: %s", error)
            self.ledger_complaint = str(error)
            return False
        self.ledger_complaint = ""
        settled = True
        for name, champion in champions.items():
            if champion is not None:
                wanted = Version(version=champion.version, run_key=champion.run_key, model_digest=champion.model_digest)
                settled &= serve_champion(asked[name], wanted, unless_moved_since=moves[name])
        return settled


def serve_champion(live: LiveModel, champion: Version, *, unless_moved_since: int) -> bool:
    """Make the champion live; when it cannot be, what served last answers on and /health says why.

    Returns: False when it is worth another try, because the store is away.
    """
    try:
        live.serve(champion, "ledger", unless_moved_since=unless_moved_since)
    except EvergreenError as error:
        logger.error("the champion of %s does not serve: %s", live.problem.name, error)
        serve_note(live)
        live.complaint = str(error)
        return not isinstance(error, TransientError)
    return True


def serve_note(live: LiveModel) -> None:
    """Make live what served last, if anything did; a service without a model says so in /health."""
    noted = live.note()
    if noted is None or live.state.current is not None:
        return
    try:
        live.serve(noted, "note")
    except EvergreenError as error:
        logger.error("what served last of %s cannot serve: %s", live.problem.name, error)
