"""Stage 8: move the champion. The ledger leads, compare-and-set; the alias in MLflow follows; a deployment is then due."""

import logging
from dataclasses import dataclass
from typing import Any

from ml import exclusions, snapshot
from ml.context import Context
from ml.errors import DataError, RefusedError, TransientError
from ml.ledger import Champion, Entry, Ledger
from ml.records import Promoted

log = logging.getLogger(__name__)
ALIAS = "champion"
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
    _follow_late(context, ledger)
    if version is not None:
        return _by_hand(context, ledger, version, actor, comment)
    return _newest_due(context, ledger, actor)


def rollback(context: Context, *, to: int | None = None, actor: str, comment: str = "") -> Promoted:
    """Make the champion before this one champion again, or the named earlier one; works while MLflow is away too.

    The context's run key names the move: a retry of the same run moves once.

    Raises: RefusedError: there is no earlier champion, or `to` was none; or its model on disk is not the registered one.
    """
    name, ledger = context.problem.name, context.ledger
    if ledger.find(name, "rollback", context.run_key) is None:
        champion, target = _earlier(ledger, name, to)
        _check_files(context, target)
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
    to = Champion(body["version"], body["run_key"], body["model_digest"])
    try:
        _move(context, ledger, Asked(to, body["expected"], newest.key, actor, {"asked": newest.id}))
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
        verdict = _verdict(context, ledger, version)
        to = Champion(version, str(verdict.run_key), verdict.body["model_digest"])
        expected = verdict.body["verdict"]["champion_version"]
        # The entry it replaces belongs to the key: after a rollback the same version may be promoted anew.
        key = f"{verdict.key}, after entry {champion.entry if champion else 0}"
        _move(context, ledger, Asked(to, expected, key, actor, {"comment": comment}))
    for work in ledger.due(name, "promote"):
        ledger.done(work, "promoted" if work.body["version"] == version else f"superseded by version {version}, by hand")
    return _follow(context, ledger)


def _verdict(context: Context, ledger: Ledger, version: int) -> Entry:
    """The newest verdict on the run of a version.

    Raises: RefusedError: there is no such version, or its verdict is missing or does not say promote.
    """
    name = context.problem.name
    registered = context.registry.version(name, version)
    if registered is None:
        raise RefusedError(f"Version {version} of {name} is not in MLflow; it was deleted or never registered. Name another.")
    about = [e for e in ledger.entries(name) if e.kind == "verdict" and e.run_key == registered.run_key]
    if not about:
        raise RefusedError(f"Version {version} of {name} has no verdict in the ledger; only versions that the gate judged move.")
    verdict = about[-1].body["verdict"]
    if verdict["decision"] != "promote" or verdict["dry_run"]:
        broken = "; ".join(rule["sentence"] for rule in verdict["rules"] if not rule["holds"]) or "it was a dry run"
        raise RefusedError(f"Version {version} of {name} stays a candidate, its verdict is {verdict['decision']}: {broken}.")
    return about[-1]


def _move(context: Context, ledger: Ledger, asked: Asked) -> None:
    """Check that the version is what was judged, then compare and set; a move that was made before is not made again."""
    name = context.problem.name
    if ledger.find(name, "promote", asked.key) is not None:
        return
    if tainted := exclusions.tainted(ledger.entries(name), asked.to.run_key):
        told = "; ".join(f"{day}: {why}" for day, why in tainted.items())
        raise RefusedError(
            f"Version {asked.to.version} of {name} learned from days that were excluded since ({told}). Nothing was moved; "
            "retrain, or take the days back in with `python -m ml lineage batch DAY --include`."
        )
    found = context.registry.version(name, asked.to.version)
    if found is None:
        raise RefusedError(f"Version {asked.to.version} of {name} was deleted in MLflow. Nothing was moved; retrain.")
    if (found.run_key, found.model_digest) != (asked.to.run_key, asked.to.model_digest):
        raise RefusedError(
            f"Version {asked.to.version} of {name} in MLflow is model {found.model_digest[:12]} of run {found.run_key!r}; the "
            f"verdict is about {asked.to.model_digest[:12]} of run {asked.to.run_key!r}. Nothing was moved; retrain."
        )
    _check_files(context, asked.to)
    body = asked.body
    ledger.move(name, to=asked.to, expected=asked.expected, kind="promote", key=asked.key, actor=asked.actor, body=body)


def _check_files(context: Context, version: Champion) -> None:
    try:
        snapshot.model_of(context.store, version.run_key, version.model_digest)
    except DataError as error:
        raise RefusedError(f"Version {version.version} was not moved. {error} Or name another version.") from error


def _follow(context: Context, ledger: Ledger, *, patient: bool = False) -> Promoted:
    """Let alias and deployment follow the ledger's champion, whoever moved it last.

    Args:
        patient: while MLflow is away, write down that the alias is due and go on.
    """
    name, champion = context.problem.name, ledger.champion(context.problem.name)
    assert champion is not None, "follow comes after a move"  # noqa: S101
    try:
        context.registry.set_alias(name, ALIAS, champion.version)
    except TransientError as error:
        if not patient:
            raise
        log.warning("the alias %s will follow to version %d later: %s", ALIAS, champion.version, error)
        ledger.ask(name, "alias", f"move {champion.entry}", {"version": champion.version})
    promoted = _promoted(ledger, name)
    body = {"version": champion.version, "run_key": champion.run_key, "model_digest": champion.model_digest}
    ledger.ask(name, "deploy", f"move {champion.entry}", body | {"previous": promoted.previous})
    log.info("promote: version %d is the champion of %s, after %s", champion.version, name, promoted.previous)
    return promoted


def _follow_late(context: Context, ledger: Ledger) -> None:
    """Set an alias that a rollback could not set because MLflow was away."""
    name, champion = context.problem.name, ledger.champion(context.problem.name)
    for work in ledger.due(name, "alias"):
        if champion:
            context.registry.set_alias(name, ALIAS, champion.version)
        ledger.done(work, "set")


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
