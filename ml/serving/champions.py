"""What the ledger says should serve: asked when the service starts, and followed from then on."""

import logging
from collections.abc import Callable, Mapping

from ml import database
from ml.errors import EvergreenError, TransientError
from ml.ledger import Champion, Ledger
from ml.rollout import serving, under_way
from ml.serving.live import LiveModel
from ml.serving.moves import Moves
from ml.serving.schemas import Plan, Version, Wanted
from ml.settings import Settings

logger = logging.getLogger("uvicorn.error")


class Champions:
    """Makes the ledger's champions live, or what served last while the ledger is away.

    A change that somebody asked the service for counts more than any move of the ledger that was known by then: a deployment
    that takes a bad champion out again must not find it back a moment later.
    """

    def __init__(self, settings: Settings, live: Mapping[str, LiveModel], moves: Moves) -> None:
        self.complaint = ""
        self._settings = settings
        self._live = live
        self._moves = moves
        self._wanted: dict[str, Wanted] = {}  # what the ledger said last
        self._unsettled: dict[str, int] = {}  # problems that wait for the ledger, and how far their documents were

    def settle(self, some: Mapping[str, LiveModel] | None = None) -> None:
        """At the start: serve what the ledger says, whatever was asked for before."""
        for name, live in dict(self._live if some is None else some).items():
            document = self._moves.shared.read(name)
            live.last = document.wanted.version
            self._unsettled[name] = document.sequence
        self._settle()

    def follow(self) -> None:
        """Once in a while: serve champions that came since, where a problem lets them take over directly."""
        self._settle()
        direct = [name for name, live in self._live.items() if live.problem.serving.rollout == "direct"]
        for name, champion in (self._ask([name for name in direct if name not in self._unsettled]) or {}).items():
            document = self._moves.shared.read(name)
            if champion is None or champion.entry is None or (document.entry is not None and champion.entry <= document.entry):
                continue
            if document.entry is None or document.wanted.version == version_of(champion):
                self._moves.know(name, champion.entry)
            elif self._serve(name, champion, since=document.sequence) and self._moves.shared.read(name).entry != champion.entry:
                self._moves.know(name, champion.entry)  # refused, and it would be again: its deployment sees to it

    def _settle(self) -> None:
        told = self._ask(list(self._unsettled))
        for name, sequence in list(self._unsettled.items()):
            champion = (told or {}).get(name)
            if champion is not None:
                settled = self._serve(name, champion, since=sequence)
            else:
                self._serve_last(name, since=sequence, withdrawn=told is not None and name in told)
                settled = told is not None
                if settled and self._moves.shared.read(name).sequence == self._unsettled[name]:
                    self._moves.know(name, 0)  # the first champion is news
            if settled:
                del self._unsettled[name]

    def _ask(self, names: list[str]) -> dict[str, Champion | None] | None:
        """The champions, without those whose deployment has failed; None when the ledger cannot be asked."""
        if not names:
            return {}
        try:
            database.migrate(self._settings.database_url)
            ledger = Ledger(self._settings.database_url, now=self._settings.now)
            champions = {name: ledger.champion(name) for name in names}
            found = {name: one for name, one in champions.items() if one is None or not gave_up(ledger, name, one)}
            self._wanted |= {name: wanted_of(self._live[name], ledger, one) for name, one in found.items() if one}
        except EvergreenError as error:
            if self.complaint != str(error):
                logger.warning("the ledger cannot be asked for the champions: %s", error)
            self.complaint = str(error)
            return None
        self.complaint = ""
        return found

    def _serve(self, name: str, champion: Champion, *, since: int) -> bool:
        """False when it is worth another try, because something is away."""
        served: list[bool] = []

        def serve(live: LiveModel) -> bool:
            served.append(serve_champion(live, self._wanted[name], unless_moved_since=live.moves))
            return served[-1]

        return self._change(name, serve, entry=champion.entry, since=since) and all(served)

    def _serve_last(self, name: str, *, since: int, withdrawn: bool) -> None:
        """Without a champion nothing serves; without a ledger what served last does."""
        live = self._live[name]
        if withdrawn and (live.state.current or live.last):
            self._change(name, LiveModel.withdraw, entry=0, since=since)
        elif not withdrawn and live.state.current is None and live.note() is not None:
            self._change(name, serve_note, entry=None, since=since)

    def _change(self, name: str, action: Callable[[LiveModel], object], *, entry: int | None, since: int) -> bool:
        try:
            changed = self._moves.change(name, action, entry=entry, since=since)
        except EvergreenError as error:
            logger.error("%s: what the ledger says cannot be served: %s", name, error)
            self._live[name].complaint = str(error)
            return not isinstance(error, TransientError)
        if changed is not None and name in self._unsettled:
            self._unsettled[name] = changed
        return True


def version_of(champion: Champion) -> Version:
    """A champion as the service is asked for it."""
    return Version(version=champion.version, run_key=champion.run_key, model_digest=champion.model_digest)


def wanted_of(live: LiveModel, ledger: Ledger, champion: Champion) -> Wanted:
    """What should answer: the champion, or while it is rolled out the one before, with it beside."""
    entries = ledger.entries(live.problem.name)
    if (rollout := under_way(entries)) is not None:
        return Wanted(version=version_of(rollout.previous), plan=Plan.model_validate(rollout.plan()))
    last = serving(entries)
    waits = live.problem.serving.rollout != "direct" and last is not None
    return Wanted(version=version_of(last if waits and last else champion))


def gave_up(ledger: Ledger, name: str, champion: Champion) -> bool:
    """Whether the deployment of a champion has failed, and none has succeeded since."""
    failed = ledger.find(name, "deploy_failed", f"move {champion.entry}")
    if failed is None:
        return False
    return not any(
        one.kind == "deployed" and one.id > failed.id and one.version == champion.version for one in ledger.entries(name)
    )


def serve_champion(live: LiveModel, wanted: Wanted, *, unless_moved_since: int) -> bool:
    """Make what the ledger says live; when it cannot be, what served last answers on and /health says why.

    Returns: False when it is worth another try, because the store is away.
    """
    if wanted.version is None or live.moves != unless_moved_since:
        return True
    try:
        live.serve(wanted.version, "ledger", unless_moved_since=unless_moved_since)
        if wanted.plan is not None and not live.stops.why(wanted.plan):
            live.attempt(wanted.version, wanted.plan, "ledger")
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
