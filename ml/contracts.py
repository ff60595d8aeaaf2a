"""The contract of a problem's source in its store: read, checked, kept, accepted. What it says is `ml.contract`'s matter."""

import logging
from collections.abc import Collection, Mapping, Sequence

from ml import contract as contract_
from ml import source
from ml.context import Context
from ml.contract import Batch, BatchProfiler, Contract, Difference, Pending
from ml.errors import DataError, RefusedError

CONTRACT, PENDING = "tables/contract.json", "tables/contract.pending.json"
SURE = (
    0.5  # a column of values is stopped for when its likeliest cause fits at least so well; a rainy day after a dry week does not
)
log = logging.getLogger(__name__)


def load(context: Context) -> Contract | None:
    """What was recorded of the source, None before the first batch."""
    return Contract.model_validate(context.store.read_json(CONTRACT)) if context.store.exists(CONTRACT) else None


def pending(context: Context) -> Pending | None:
    """The differences that stopped the last run, None when nothing is open."""
    return Pending.model_validate(context.store.read_json(PENDING)) if context.store.exists(PENDING) else None


def profiler(context: Context) -> BatchProfiler:
    """What a window's batches are counted with."""
    about = context.problem.source
    return BatchProfiler(source.columns(context.problem), about.timezone, about.event_time, context.problem.contract.minimum_rows)


def check_types(context: Context, types: Mapping[str, str]) -> None:
    """Compare the source's columns with the recorded ones, before a row is read.

    Raises: DataError: they differ and [contract] stop is true; the difference waits to be accepted.
    """
    recorded = load(context)
    if recorded is not None:
        found = contract_.compare_types(recorded, types, ignore=context.problem.contract.ignore)
        _stop(context, recorded, found, Pending(types=dict(types), **_about(context, found)))


def check_values(context: Context, batch: Batch) -> None:
    """Compare a batch with what was recorded, before any of it is committed.

    Raises: DataError: it differs and [contract] stop is true; the difference waits to be accepted.
    """
    recorded = load(context)
    if recorded is not None:
        found = differences(context, recorded, batch)
        sure = [one for one in found if one.hypotheses[0].score >= SURE]
        for one in (one for one in found if one not in sure):
            log.warning("contract: %s; %s. Not sure enough to stop for.", one.what, one.hypotheses[0].sentence)
        _stop(context, recorded, sure, Pending(batch=batch, **_about(context, sure)))


def differences(context: Context, recorded: Contract, batch: Batch) -> list[Difference]:
    """Columns of a batch that are not as recorded."""
    rules = context.problem.contract
    return contract_.compare(recorded, batch, ignore=rules.ignore, minimum_rows=rules.minimum_rows)


def keep(context: Context, batch: Batch, types: Mapping[str, str]) -> None:
    """Record the contract after the first batch was committed; later let it follow slow drift. What was open is settled."""
    kinds, recorded = source.columns(context.problem), load(context)
    if recorded is None:
        if batch.num_rows:
            now = context.settings.now()
            _write(context, contract_.record(context.problem, kinds, types, batch, at=now, run_key=context.run_key))
        return
    if (context.reason == "backfill" or context.dry_run) and not recorded.young:
        return  # days of the past, side by side: they teach nothing about tonight
    open_ = {one.column for one in differences(context, recorded, batch) if one.hypotheses[0].score >= SURE}
    followed = contract_.follow(recorded, context.problem, kinds, batch, open_)
    _write(context, contract_.retyped(followed, types, context.problem.contract.ignore))
    context.store.delete(PENDING)


def accept(context: Context, *, who: str, why: str, only: Collection[str] = ()) -> Sequence[Difference]:
    """Take over what stopped the last run; the ledger remembers who, when and why.

    Returns: the differences that were accepted.
    Raises: RefusedError: nothing is open, or not for these columns. TransientError: the ledger's database is away.
    """
    recorded, waiting = load(context), pending(context)
    if recorded is None or waiting is None:
        raise RefusedError(f"There is nothing to accept: no run of {context.problem.name} was stopped by its contract.")
    unknown = sorted(set(only) - {one.column for one in waiting.differences})
    if unknown:
        raise RefusedError(f"No difference is open for {unknown[0]!r}, only for {[one.column for one in waiting.differences]}.")
    accepted, rest = contract_.accept(recorded, waiting, only, who=who, why=why, at=context.settings.now())
    entry = accepted.accepted[-1]
    body = {"why": why, "differences": [f"{one.column}: {one.hypotheses[0].sentence}" for one in entry.differences]}
    key = f"{waiting.run_key} {entry.at.isoformat()}"
    context.ledger.append(context.problem.name, "contract", key=key, actor=who, run_key=waiting.run_key, body=body)
    _write(context, accepted)
    if rest is None:
        context.store.delete(PENDING)
    else:
        context.store.write_json(PENDING, rest.model_dump(mode="json"))
    return entry.differences


def _about(context: Context, found: Sequence[Difference]) -> dict[str, object]:
    return {"at": context.settings.now(), "run_key": context.run_key, "differences": tuple(found)}


def _stop(context: Context, recorded: Contract, found: Sequence[Difference], waiting: Pending) -> None:
    if not found:
        return
    message = contract_.told(context.problem.source.place, context.problem.name, recorded, found)
    if not context.problem.contract.stop:
        log.warning("%s\n([contract] stop = false: the run goes on)", message)
        return
    context.store.write_json(PENDING, waiting.model_dump(mode="json"))
    raise DataError(message)


def _write(context: Context, kept: Contract) -> None:
    context.store.write_json(CONTRACT, kept.model_dump(mode="json"))
