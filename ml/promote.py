"""Stage 8: move the champion. The ledger leads, compare-and-set; the alias in MLflow follows; a deployment is then due."""

import logging
from dataclasses import dataclass
from typing import Any

from ml import alias, judged
from ml.context import Context
from ml.errors import RefusedError
from ml.ledger import Champion, Ledger
from ml.records import Promoted

log = logging.getLogger(__name__)
AUTO = "gate"  # who moved the champion when no person did


@dataclass(frozen=True)
class Asked:
    """A promotion that somebody asks for."""

    to: Champion
    expected: int | None
    key: str
    actor: str
    body: dict[str, Any]


def run(context: Context, *, version: int | None = None, actor: str = AUTO, comment: str = "") -> Promoted | None:
    """Carry out the newest promotion that is due, or promote `version` by hand; None when there is nothing to do.

    Older ones that are due are superseded. Killed at any point and run again, it ends in the same state.

    Args:
        version: one whose own verdict says promote and whose champion at that time is still champion.
        actor: who asks, as `cli:anna`.
    Raises:
        RefusedError: the verdict says no, somebody else moved the champion, the version was deleted, or the model on disk
            is not the registered one. Nothing has moved then.
        TransientError: MLflow or the database is away.
    """
    if context.dry_run:
        return None
    ledger = context.ledger
    alias.follow(context)  # a rollback may have found MLflow away
    if version is not None:
        return _by_hand(context, ledger, version, actor, comment)
    return _newest_due(context, ledger, actor)


def rollback_due(context: Context) -> Promoted | None:
    """Carry out the way back that the monitor asked for; None when none is due, or the champion has moved since.

    Raises: RefusedError: it cannot be gone back to; nothing was moved, and it will not be tried again.
    """
    name, ledger = context.problem.name, context.ledger
    for work in ledger.due(name, "rollback"):
        move, champion = context.of_run(f"monitor-{work.key}"), ledger.champion(name)
        begun = ledger.find(name, "rollback", move.run_key)  # a run that was killed after the move goes on behind it
        if begun is None and (champion is None or champion.entry != work.body["entry"]):
            ledger.done(work, "superseded: the champion has moved since")
            continue
        try:
            moved = rollback(move, to=work.body["to"], actor="monitor", comment=work.body["why"])
        except RefusedError as error:
            ledger.done(work, f"refused: {error}")
            raise
        ledger.done(work, "rolled back")
        return moved
    return None


def rollback(context: Context, *, to: int | None = None, actor: str, comment: str = "") -> Promoted:
    """Make the champion before this one champion again, or the named earlier one; works while MLflow is away too.

    The context's run key names the move: a retry of the same run moves once.

    Raises: RefusedError: there is no earlier champion, or `to` was none; or its model on disk is not the registered one.
    """
    name, ledger = context.problem.name, context.ledger
    if ledger.find(name, "rollback", context.run_key) is None:
        champion, target = _earlier(ledger, name, to)
        judged.demand_files(context, target)
        body = {"comment": comment}
        ledger.move(name, to=target, expected=champion.version, kind="rollback", key=context.run_key, actor=actor, body=body)
    return _follow(context, ledger, patient=True)


def _newest_due(context: Context, ledger: Ledger, actor: str) -> Promoted | None:
    name = context.problem.name
    due = ledger.due(name, "promote")
    if not due:
        # A run that was killed after its last step announced nothing; what it left due is announced now.
        return _promoted(ledger, name) if ledger.due(name, "deploy") else None
    newest = due[-1]
    for work in due[:-1]:
        ledger.done(work, f"superseded by {newest.key}")
    body = newest.body
    actor = body.get("actor", actor)  # the person who approved it
    to = Champion(body["version"], body["run_key"], body["model_digest"])
    try:
        said = {"asked": newest.id} | ({"comment": body["comment"]} if "comment" in body else {})
        _move(context, ledger, Asked(to, body["expected"], newest.key, actor, said))
    except RefusedError as error:
        about = {"reason": str(error)}
        ledger.append(name, "refused", key=newest.key, actor=actor, version=to.version, run_key=to.run_key, body=about)
        ledger.done(newest, f"refused: {error}")
        raise
    promoted = _follow(context, ledger)
    ledger.done(newest, "promoted")
    return promoted


def _by_hand(context: Context, ledger: Ledger, version: int, actor: str, comment: str) -> Promoted:
    name, champion = context.problem.name, ledger.champion(context.problem.name)
    if champion is None or champion.version != version:
        verdict = judged.demand_yes(context, version)
        to = Champion(version, str(verdict.run_key), verdict.body["model_digest"])
        expected = verdict.body["verdict"]["champion_version"]
        # The entry it replaces belongs to the key: after a rollback the same version may be promoted anew.
        key = f"{verdict.key}, after entry {champion.entry if champion else 0}"
        _move(context, ledger, Asked(to, expected, key, actor, {"comment": comment}))
        judged.tag(context, version, "approved", by=actor, comment=comment)
    for work in [*ledger.due(name, "promote"), *ledger.due(name, "approve")]:
        ledger.done(work, "promoted" if work.body["version"] == version else f"superseded by version {version}, by hand")
    return _follow(context, ledger)


def _move(context: Context, ledger: Ledger, asked: Asked) -> None:
    """Check that the version is what was judged, then compare and set; a move that was made before is not made again."""
    name = context.problem.name
    if ledger.find(name, "promote", asked.key) is not None:
        return
    judged.demand_same(context, asked.to)
    body = asked.body
    ledger.move(name, to=asked.to, expected=asked.expected, kind="promote", key=asked.key, actor=asked.actor, body=body)


def _follow(context: Context, ledger: Ledger, *, patient: bool = False) -> Promoted:
    """Let alias and deployment follow the ledger's champion, whoever moved it last."""
    name, champion = context.problem.name, ledger.champion(context.problem.name)
    assert champion is not None, "follow comes after a move"  # noqa: S101
    alias.follow(context, patient=patient)
    promoted = _promoted(ledger, name)
    body = {"version": champion.version, "run_key": champion.run_key, "model_digest": champion.model_digest}
    ledger.ask(name, "deploy", alias.key_of(champion), body | {"previous": promoted.previous})
    log.info("promote: version %d is the champion of %s, after %s", champion.version, name, promoted.previous)
    return promoted


def _promoted(ledger: Ledger, problem: str) -> Promoted:
    """The move that made the present champion."""
    last = ledger.moves(problem)[-1]
    return Promoted(version=last.champion.version, previous=last.body["previous"], run_key=last.champion.run_key)


def _earlier(ledger: Ledger, problem: str, to: int | None) -> tuple[Champion, Champion]:
    """The champion, and the earlier one to return to.

    Raises: RefusedError: there is none.
    """
    standing = ledger.succession(problem)
    if not standing:
        raise RefusedError(f"{problem} has no champion yet, so there is nothing to roll back. Promote a version first.")
    champion = standing[-1]
    moves = [entry.champion for entry in ledger.moves(problem)]
    earlier = {move.version: move for move in moves if move.version != champion.version}
    if to is None:
        if len(standing) < 2:
            raise RefusedError(f"Version {champion.version} of {problem} has no champion before it. Retrain and promote instead.")
        return champion, standing[-2]
    if to not in earlier:
        known = ", ".join(map(str, sorted(earlier))) or "none"
        raise RefusedError(f"Version {to} of {problem} was no earlier champion, so nothing is moved. Earlier champions: {known}.")
    return champion, earlier[to]
