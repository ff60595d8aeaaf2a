"""Somebody moved or deleted the alias `champion` in MLflow: that is a decision too. It is obeyed where the problem's policy
allows, else the alias is put back; either way the ledger says what happened. MLflow does not say who it was, so neither do we.
"""

import logging
from collections.abc import Callable

from ml import alias, judged
from ml.context import Context
from ml.errors import RefusedError
from ml.ledger import Champion, Move
from ml.records import Followed

log = logging.getLogger(__name__)
ACTOR = "mlflow:unknown"
REFUSED = "alias_refused"  # kind of ledger entry
SAID = "the alias champion was moved in MLflow, which does not say by whom"


def run(context: Context) -> Followed | None:
    """Look where the alias stands; None when it stands on the ledger's champion, or when there is none.

    Moved to an earlier champion, that is a rollback; to a version whose verdict says promote, a promotion; to any other it
    is obeyed with [gate] manual_moves = "follow" only. An alias that is gone is put back, unless its version is gone too.
    Obeyed, a deployment is due.
    """
    champion = context.ledger.champion(context.problem.name)
    if champion is None or context.dry_run:
        return None
    alias.follow(context)
    moved, found = stands_elsewhere(context, champion)
    if not moved:
        return None
    if found is None:
        return _put_back(context, champion, None, "an alias that is deleted decides nothing")
    try:
        kind, target, comment = _judge(context, champion, found)
        return _obey(context, champion, target, kind, comment)
    except RefusedError as error:
        return _put_back(context, champion, found, str(error))


def stands_elsewhere(
    context: Context, champion: Champion, look: Callable[[str, str], int | None] | None = None
) -> tuple[bool, int | None]:
    """Whether a hand moved the alias away from this champion, and to which version; None: it was deleted.

    Not so while the champion's own move is under way: the alias has to follow first, and nobody may move the champion
    between two looks at the ledger with one at the alias in between.
    """
    if not alias.followed(context, champion):
        return False, None
    found = (look or context.registry.alias)(context.problem.name, alias.ALIAS)
    now = context.ledger.champion(context.problem.name)
    by_hand = found != champion.version and now is not None and now.entry == champion.entry
    return by_hand, found


def glance(context: Context) -> str | None:
    """A cheap look, for who looks all day: what a hand did to the alias, None when it stands where it should.

    Raises: TransientError: MLflow or the database is away.
    """
    name, ledger = context.problem.name, context.ledger
    champion = ledger.champion(name)
    if champion is None:
        return None
    moved, found = stands_elsewhere(context, champion, context.registry.glance)
    if not moved or (found is None and ledger.find(name, REFUSED, _deleted(champion))):
        return None
    stands = "is gone" if found is None else f"stands on version {found}"
    # Moved to the same version again right after it was put back, it is another difference and must read as one.
    before = sum(entry.kind == REFUSED for entry in ledger.entries(name))
    return (
        f"the alias champion of {name} {stands}, the ledger says version {champion.version} (entry {champion.entry}, "
        f"{before} such moves put back before)"
    )


def _deleted(champion: Champion) -> str:
    """Key of the entry which says that the champion's version is gone from MLflow."""
    return f"{alias.key_of(champion)}, version deleted"


def _judge(context: Context, champion: Champion, found: int) -> tuple[Move, Champion, str]:
    """What kind of move this is, and to what.

    Raises: RefusedError: the version cannot serve, or the gate did not let it through and the policy asks for that.
    """
    earlier = [move.champion for move in context.ledger.moves(context.problem.name) if move.champion.version == found]
    if earlier:
        judged.demand_files(context, earlier[-1])
        return "rollback", earlier[-1], f"{SAID}, to a champion that was"
    try:
        entry = judged.demand_yes(context, found)
        target = Champion(found, str(entry.run_key), entry.body["model_digest"])
        _demand_compared(entry.body["verdict"]["champion_version"], champion, found)
        judged.demand_same(context, target)
        return "promote", target, f"{SAID}, to a version that the gate let through"
    except RefusedError as error:
        if context.problem.gate.manual_moves == "restore":
            raise
        return "promote", _loadable(context, found), f"{SAID}; obeyed because of [gate] manual_moves, though: {error}"


def _demand_compared(with_version: int | None, champion: Champion, found: int) -> None:
    if with_version != champion.version:
        raise RefusedError(
            f"Version {found} was compared with {f'version {with_version}' if with_version else 'no champion'}, and the champion "
            f"is version {champion.version}. Retrain, so that the gate compares with the present champion."
        )


def _loadable(context: Context, found: int) -> Champion:
    """Any version of ours whose files are there.

    Raises: RefusedError: the service could not load it.
    """
    version = context.registry.version(context.problem.name, found)
    if version is None or not version.run_key:
        raise RefusedError(f"Version {found} is no version that a run of ours registered, so the service cannot load it.")
    target = Champion(found, version.run_key, version.model_digest)
    judged.demand_files(context, target)
    return target


def _obey(context: Context, champion: Champion, target: Champion, kind: Move, comment: str) -> Followed:
    """Let the ledger follow the alias.

    Raises: RefusedError: somebody moved the champion meanwhile.
    """
    name, ledger = context.problem.name, context.ledger
    # The entry it replaces belongs to the key: the alias may be moved to and fro.
    key = f"alias to version {target.version}, after entry {champion.entry}"
    body = {"comment": comment, "by_hand": True}
    moved = ledger.move(name, to=target, expected=champion.version, kind=kind, key=key, actor=ACTOR, body=body)
    about = {"version": target.version, "run_key": target.run_key, "model_digest": target.model_digest}
    ledger.ask(name, "deploy", alias.key_of(moved.champion), about | {"previous": champion.version})
    alias.follow(context)
    judged.tag(context, target.version, "champion by hand", by=ACTOR, comment=comment)
    log.warning("follow: version %d is the champion of %s: %s", target.version, name, comment)
    return Followed(obeyed=True, found=target.version, champion=target.version, why=comment)


def _put_back(context: Context, champion: Champion, found: int | None, why: str) -> Followed | None:
    """Write down what was found, then set the alias again; where its version was deleted only the first can be done, once."""
    name, ledger = context.problem.name, context.ledger
    gone = context.registry.version(name, champion.version) is None
    body = {"found": found, "comment": why, "restored": not gone}
    key = _deleted(champion) if gone else f"{alias.key_of(champion)}, run {context.run_key}"
    if gone and ledger.find(name, REFUSED, key):
        return None
    ledger.append(name, REFUSED, key=key, actor=ACTOR, version=found, run_key=champion.run_key, body=body)
    if not gone:
        context.registry.set_alias(name, alias.ALIAS, champion.version)
        if found is not None:
            judged.tag(context, found, "moved by hand and put back", by=ACTOR, comment=why)
    where = "was deleted" if found is None else f"was moved to version {found}"
    ends = f"version {champion.version} was deleted too, so MLflow shows no champion; it goes on serving from the store"
    ends = ends if gone else f"it is on version {champion.version} again"
    log.warning("follow: the alias of %s %s by hand; %s: %s", name, where, ends, why)
    return Followed(obeyed=False, found=found, champion=champion.version, why=f"The alias {where} by hand; {ends}. {why}")
