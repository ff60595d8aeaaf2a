"""How far a rollout has come, as the ledger tells it. The ledger is all there is to know: whoever was killed reads on here."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from ml.ledger import MOVES, Champion, Entry
from ml.ledger.entry import succession

Mode = Literal["direct", "shadow", "canary", "ab"]
Order = Literal["hold", "resume", "finish"]
STEP, ORDER = "rollout", "rollout_order"  # kinds of entries: a step that was begun; what a person asked for


@dataclass(frozen=True)
class Rollout:
    """A champion by the ledger that does not answer everybody yet.

    `began` is when the present step began by the real clock, `since` when the first one did by the clock of the business.
    """

    challenger: Champion
    previous: Champion
    mode: Mode
    shares: tuple[float, ...]
    step: int
    began: datetime
    since: datetime
    order: str | None

    @property
    def id(self) -> str:
        """Names the rollout: the move that made the challenger champion."""
        return f"move {self.challenger.entry}"

    @property
    def share(self) -> float:
        """Of entities that the challenger answers now."""
        return self.shares[self.step]

    def plan(self) -> dict[str, Any]:
        """What the service is told, as JSON."""
        return {"id": self.id, "mode": self.mode, "challenger": about(self.challenger), "share": self.share, "step": self.step}


def about(version: Champion) -> dict[str, Any]:
    """A version as the service is told of it."""
    return {"version": version.version, "run_key": version.run_key, "model_digest": version.model_digest}


def under_way(entries: Sequence[Entry]) -> Rollout | None:
    """The rollout of the present champion; None when it was not begun, or is over.

    Args:
        entries: all of one problem, oldest first.
    """
    standing = succession([entry for entry in entries if entry.kind in MOVES])
    if not standing or ended(entries, standing[-1]):
        return None
    champion = standing[-1].champion
    steps = [entry for entry in entries if entry.kind == STEP and entry.key.startswith(f"move {champion.entry},")]
    if not steps:
        return None
    orders = [entry for entry in entries if entry.kind == ORDER and entry.key.startswith(f"move {champion.entry},")]
    last = steps[-1].body
    return Rollout(
        challenger=champion,
        previous=Champion(*last["previous"]),
        mode=last["mode"],
        shares=tuple(last["shares"]),
        step=last["step"],
        began=datetime.fromisoformat(last["began"]),
        since=steps[0].at,
        order=orders[-1].body["order"] if orders else None,
    )


def serving(entries: Sequence[Entry]) -> Champion | None:
    """The champion that answers everybody, or did last: the newest that stands and was brought into service."""
    standing = succession([entry for entry in entries if entry.kind in MOVES])
    return next((move.champion for move in reversed(standing) if _deployed(entries, move)), None)


def ended(entries: Sequence[Entry], move: Entry) -> bool:
    """Whether the champion of a move was brought into service, or failed to be."""
    failed = any(entry.kind == "deploy_failed" and entry.key == f"move {move.id}" for entry in entries)
    return failed or _deployed(entries, move)


def _deployed(entries: Sequence[Entry], move: Entry) -> bool:
    return any(entry.kind == "deployed" and entry.key.startswith(f"move {move.id},") for entry in entries)
