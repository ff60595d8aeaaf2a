"""The newest runs of `retrain` in their order, each by its small records: how much came in, what it cost, how it ended."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from ml import marks
from ml.context import Context
from ml.errors import DataError
from ml.ledger import Entry
from ml.policy import DECIDED
from ml.records import Decided, Ingested, Record, Registered, Trained, Validated, Verdict

MOST = 30  # nights that a page shows
ENTRIES = 300  # of the ledger that a page reads
AT_ONCE = 16  # files of a remote store that are waited for together
KINDS = (DECIDED, "judged", "verdict")  # entries that a run of `retrain` writes under its key
R = TypeVar("R", bound=Record)
T = TypeVar("T")
U = TypeVar("U")


@dataclass(frozen=True)
class Begun:
    """That there was a run, and when; runs of versions that did not write this down are known by the ledger."""

    run_key: str
    at: datetime
    reason: str = ""
    dry_run: bool = False


@dataclass(frozen=True)
class Night:
    """One run of `retrain`. None: it did not get that far.

    Attributes:
        ended: promote, reject, not assessable, skipped, or the last stage that it finished; empty when there was none.
        why: the sentence that belongs to it.
        minutes: of training on the clock; num_bytes: what its folder takes in the store.
    """

    run_key: str
    at: datetime
    reason: str
    dry_run: bool
    num_ingested: int | None
    num_valid: int | None
    num_quarantined: int | None
    ended: str
    why: str
    version: int | None
    minutes: float | None
    num_bytes: int


def nights(context: Context, entries: Sequence[Entry], most: int = MOST) -> list[Night]:
    """The newest runs, newest first.

    Args:
        entries: the newest of the ledger, oldest first.
    """
    return at_once(lambda one: _night(context.of_run(one.run_key), one), begun(context, entries)[:most])


def begun(context: Context, entries: Sequence[Entry]) -> list[Begun]:
    """Runs that have begun, newest first, by the store's list and by the ledger."""
    found = {str(one.run_key): Begun(str(one.run_key), one.at) for one in reversed(entries) if one.kind in KINDS and one.run_key}
    for one in _listed(context):
        found[one.run_key] = one
    return sorted(found.values(), key=lambda one: one.at, reverse=True)


def _listed(context: Context) -> list[Begun]:
    """The store's list; one that cannot be read is as good as none, for the ledger knows most of it."""
    try:
        return [
            Begun(one["run_key"], datetime.fromisoformat(one["at"]), one["reason"], one["dry_run"])
            for one in marks.begun(context)
        ]
    except (DataError, ValueError, KeyError, TypeError):
        return []


def record(run: Context, kind: type[R]) -> R | None:
    """What a stage of the run found out; None when it did not finish, or a version wrote it that was too different."""
    try:
        return run.record(kind)
    except (DataError, ValueError, KeyError, TypeError):  # pydantic's and JSON's errors are ValueErrors
        return None


def at_once(look: Callable[[T], U], things: Iterable[T]) -> list[U]:
    """The same for many things, in their order; a store that is far away is asked about several at a time."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(look, things))


def _night(run: Context, one: Begun) -> Night:
    ingested, validated, trained = record(run, Ingested), record(run, Validated), record(run, Trained)
    registered = record(run, Registered)
    ended, why = _end(run)
    return Night(
        run_key=one.run_key,
        at=one.at,
        reason=one.reason,
        dry_run=one.dry_run,
        num_ingested=ingested.num_rows if ingested else None,
        num_valid=validated.num_valid if validated else None,
        num_quarantined=validated.num_quarantined if validated else None,
        ended=ended,
        why=why,
        version=registered.version if registered else None,
        minutes=trained.seconds / 60 if trained else None,
        num_bytes=run.store.size(run.folder),
    )


def _end(run: Context) -> tuple[str, str]:
    """How it ended in a word, and the sentence that belongs to it."""
    if verdict := record(run, Verdict):
        return verdict.decision, verdict.sentence
    decided = record(run, Decided)
    if decided and not decided.train:
        return "skipped", decided.why
    for kind in (Trained, Decided, Validated, Ingested):
        if record(run, kind):
            return kind.stage, f"nothing is known after {kind.stage}"
    return "", "nothing is known but that it began"
