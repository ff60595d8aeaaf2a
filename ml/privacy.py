"""What a problem's store knows about people: the salt that hides values, and who was erased and must not come back.

The salt lies in the store, `privacy/salt`, made at first use. Whoever loses it cannot tell any more which hashed values are
equal to new ones, nor whom to keep out: back it up apart from the data, and never replace it.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ml.errors import ConfigError, TransientError
from ml.problem import Problem
from ml.redaction import Redactor, Rule, hashed
from ml.store import Store

SALT, FORGOTTEN = "privacy/salt", "privacy/forgotten"
SALT_BYTES = 32
LEARNED_WITHIN_S = 2  # a running service knows of an erasure after this many seconds


@dataclass(frozen=True)
class Forgotten:
    """Those who were erased, as keyed hashes; `column` is the one that names a person."""

    column: str
    tokens: frozenset[str] = frozenset()
    salt: bytes = b""

    def holds(self, value: str) -> bool:
        """Whether a person was erased, by the name in the source or the one that is stored."""
        return bool(self.tokens) and token(value, self.salt) in self.tokens

    def keep(self, batch: pa.RecordBatch | pa.Table) -> pa.Array | None:
        """True for the rows of people who were not erased; None when there is nobody to keep out."""
        if not self.tokens or self.column not in batch.schema.names:
            return None
        named = batch.column(self.column).cast(pa.string())
        gone = [value for value in pc.unique(named).to_pylist() if value is not None and self.holds(value)]
        return pc.invert(pc.is_in(named, value_set=pa.array(gone, pa.string()))) if gone else None

    def without(self, batch: Any) -> Any:
        """The batch or table without the rows of erased people."""
        kept = self.keep(batch)
        return batch if kept is None else batch.filter(kept)


def subject_of(problem: Problem) -> str:
    """The column that names a person."""
    return problem.privacy.subject or problem.source.key


def token(value: str, salt: bytes) -> str:
    """What stands for an erased person; nothing leads back from it without the salt."""
    return blake2b(value.encode(), digest_size=16, key=salt, person=b"erased").hexdigest()


def stored(problem: Problem, value: str, salt: bytes) -> str:
    """A person's name as the tables have it: hashed where the problem asks for that."""
    column = subject_of(problem)
    return hashed(value, column=column, salt=salt) if problem.privacy.redact.get(column) == "hash" else value


def redactor(problem: Problem, store: Store, also: Mapping[str, Rule] | None = None) -> Redactor:
    """The problem's redaction, with its salt where it needs one.

    Args:
        also: rules for columns that the problem file does not name.
    """
    rules = {**(also or {}), **problem.privacy.redact}
    return Redactor(rules, salt_of(store) if "hash" in rules.values() else b"")


def forgotten(problem: Problem, store: Store) -> Forgotten:
    """Who was erased by now.

    Raises: ConfigError: somebody was, but the salt is gone, so nobody knows who.
    """
    names = [name.removeprefix(f"{FORGOTTEN}/").removesuffix(".json") for name in store.names(FORGOTTEN)]
    tokens = frozenset(one for name in names for one in name.split("+"))
    if tokens and not store.exists(SALT):
        raise ConfigError(
            f"{store.location(SALT)} is gone, so people who were erased would come back unseen. Restore it from a backup; "
            f"only when nobody needs to be kept out any more, remove {store.location(FORGOTTEN)} as well."
        )
    return Forgotten(subject_of(problem), tokens, salt_of(store) if tokens else b"")


def refuse_if_more(known: Forgotten, problem: Problem, store: Store) -> None:
    """Call it before rows are committed that were filtered by `known`.

    Raises: TransientError: somebody was erased meanwhile, and may be among the rows.
    """
    if forgotten(problem, store).tokens != known.tokens:
        raise TransientError("Somebody was erased while these rows were being read. Run this again; nothing was written.")


def salt_of(store: Store) -> bytes:
    """The salt of a problem, made when it is not there; of two who make it at once, one wins and both use that."""
    if not store.exists(SALT):
        store.create(SALT, secrets.token_bytes(SALT_BYTES).hex().encode())
    return bytes.fromhex(store.read(SALT).decode())
