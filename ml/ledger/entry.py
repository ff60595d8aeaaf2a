"""One entry of the ledger, its hash, and what a list of entries says: whether it is whole, and who is champion."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

Move = Literal["promote", "rollback"]
MOVES = ("promote", "rollback")
GENESIS = "0" * 64  # stands where the first entry names the hash before it


class Champion(NamedTuple):
    """The version that serves, as the ledger says. `entry` is the move that made it so."""

    version: int
    run_key: str
    model_digest: str
    since: datetime | None = None
    entry: int | None = None


@dataclass(frozen=True)
class Entry:
    """What happened, who did it, when by the clock of the business, and the hash that ties it to all before."""

    id: int
    problem: str
    kind: str
    key: str
    version: int | None
    run_key: str | None
    actor: str
    at: datetime
    body: dict[str, Any]
    previous: str
    hash: str = ""

    def sealed(self) -> "Entry":
        """The same entry with the hash that its content and its predecessor demand."""
        content = {name: getattr(self, name) for name in self.__dataclass_fields__ if name not in ("hash", "previous")}
        text = canonical(content | {"at": self.at.astimezone(UTC).isoformat()})
        return replace(self, hash=hashlib.sha256((self.previous + text).encode()).hexdigest())

    @property
    def champion(self) -> Champion:
        """Who served after this move."""
        assert self.version is not None and self.run_key is not None, f"entry {self.id} is no move"  # noqa: S101
        return Champion(self.version, self.run_key, str(self.body["model_digest"]), self.at, self.id)


def canonical(content: Any) -> str:
    """JSON with one spelling per content: sorted keys, no spaces, numbers that are none ("NaN") as strings."""
    plain = json.loads(json.dumps(content, default=str), parse_constant=str)
    return json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def broken(entries: Sequence[Entry]) -> list[str]:
    """One sentence per entry that was changed, removed or slipped in; `entries` are all of them, by id.

    Entries cut off at the very end leave no trace in the chain itself: compare the last hash with one noted elsewhere.
    """
    found, number, previous = [], 1, GENESIS
    for entry in entries:
        if entry.id != number:
            found.append(f"Entry {number} is missing: entry {entry.id} comes in its place.")
        elif entry.previous != previous:
            found.append(f"Entry {entry.id} does not follow entry {entry.id - 1}: one of them was replaced.")
        if entry.sealed().hash != entry.hash:
            found.append(f"Entry {entry.id} ({entry.kind} {entry.key} of {entry.problem}) was changed: its hash does not fit.")
        number, previous = entry.id + 1, entry.hash
    return found


def succession(moves: Sequence[Entry]) -> list[Entry]:
    """The champions that still stand, oldest first: a rollback takes away what it undid, so the last one is serving.

    Args:
        moves: promotions and rollbacks of one problem, oldest first.
    """
    standing: list[Entry] = []
    for move in moves:
        if move.kind == "rollback":
            versions = [entry.version for entry in standing]
            if move.version in versions:
                standing = standing[: versions.index(move.version)]
        standing.append(move)
    return standing
