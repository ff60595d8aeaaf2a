"""The alias `champion` in MLflow follows the ledger. That it has followed a move is written down, so that an alias which
stands elsewhere later is known to have been moved by hand.
"""

import logging

from ml.context import Context
from ml.errors import TransientError
from ml.ledger import Champion

log = logging.getLogger(__name__)
ALIAS = "champion"
SET = "set"


def follow(context: Context, *, patient: bool = False) -> None:
    """Put the alias on the ledger's champion, once per move; where a hand moves it afterwards, `ml.follow` decides.

    Args:
        patient: while MLflow is away, leave it written down as due and go on.
    Raises: TransientError: MLflow is away, and we are not patient.
    """
    name, ledger = context.problem.name, context.ledger
    champion = ledger.champion(name)
    while champion and not followed(context, champion):
        ledger.ask(name, "alias", key_of(champion), {"version": champion.version, "entry": champion.entry})
        try:
            context.registry.set_alias(name, ALIAS, champion.version)
        except TransientError as error:
            if not patient:
                raise
            log.warning("the alias %s will follow to version %d later: %s", ALIAS, champion.version, error)
            return
        for work in ledger.due(name, "alias"):
            if work.key == key_of(champion):
                ledger.done(work, SET)
            elif work.body.get("entry", 0) < (champion.entry or 0):
                ledger.done(work, f"superseded by version {champion.version}")
        champion = ledger.champion(name)  # somebody may have moved it, and set the alias, just before we did


def followed(context: Context, champion: Champion) -> bool:
    """Whether the alias has stood on this champion since its move."""
    return context.ledger.outcome(context.problem.name, "alias", key_of(champion)) == SET


def key_of(champion: Champion) -> str:
    """Names the move that made the champion."""
    return f"move {champion.entry}"
