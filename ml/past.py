"""What earlier runs wrote down: which versions of the tables they read, what they froze, which models came of it."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from ml.context import Context
from ml.errors import TransientError
from ml.records import Ingested, Prepared, Record, Registered, Trained, Validated

R = TypeVar("R", bound=Record)
TableName = Literal["raw", "valid", "quarantine"]
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PastRun:
    """A run by its records; None for a stage that it did not reach."""

    run_key: str
    ingested: Ingested | None
    validated: Validated | None
    prepared: Prepared | None
    trained: Trained | None
    registered: Registered | None

    def read(self, table: TableName) -> int | None:
        """The version of a table that the run stands on: `raw` as it was read, the others as the run wrote or read them."""
        if table == "raw":
            return self.ingested.version if self.ingested and self.ingested.version >= 0 else None
        if table == "quarantine":
            return self.validated.quarantine_version if self.validated else None
        return self.prepared.valid_version if self.prepared else self.validated.version if self.validated else None


def runs(context: Context) -> list[PastRun]:
    """Every run that read data, in the order of what they read; runs by the same version go by name."""
    keys = {name.split("/")[1] for name in context.store.names("runs") if name.endswith(f"/{Ingested.stage}.json")}
    found = [run_of(context, key) for key in sorted(keys)]
    return sorted(found, key=lambda run: (run.ingested.version if run.ingested else -1, run.run_key))


def run_of(context: Context, run_key: str) -> PastRun:
    """The records of one run, whether it exists or not."""
    run = context.of_run(run_key)

    def record(kind: type[R]) -> R | None:
        return run.record(kind) if run.has(kind) else None

    return PastRun(run_key, *map(record, (Ingested, Validated, Prepared, Trained, Registered)))  # type: ignore[arg-type]


def models(context: Context, *, patient: bool = False, among: Sequence[PastRun] | None = None) -> dict[int, str]:
    """Run key per registered version: by the runs' own records, by the ledger's moves, and by MLflow.

    A run that was killed between MLflow and its record is known to MLflow alone, so MLflow is asked too.

    Args:
        patient: while MLflow is away, make do with records and ledger.
        among: all runs, where they have been read already.
    Raises: TransientError: MLflow is away, and not `patient`.
    """
    found = dict(_models(context, patient, runs(context) if among is None else among))
    return dict(sorted(found.items()))


def pinned(context: Context) -> dict[str, set[int]]:
    """Versions of `raw`, `valid` and `labels` that registered models were made from; these stay readable.

    Raises: TransientError: MLflow is away, so nobody can say which models there are.
    """
    keys = {run_key for _, run_key in _models(context, False, runs(context))}
    made = [run_of(context, key) for key in sorted(keys)]
    pins: dict[str, set[int]] = {"raw": set(), "valid": set(), "quarantine": set(), "labels": set()}
    for run in made:
        pins["raw"] |= {run.ingested.version} if run.ingested and run.ingested.version >= 0 else set()
        pins["valid"] |= {run.validated.version} if run.validated else set()
        pins["valid"] |= {run.prepared.valid_version} if run.prepared else set()
        labelled = run.prepared.labels_version if run.prepared else None
        pins["labels"] |= {labelled} if labelled is not None else set()
    return pins


def _models(context: Context, patient: bool, among: Sequence[PastRun]) -> Iterator[tuple[int, str]]:
    """Where sources disagree about a number, which happens when MLflow was set up anew, the ledger comes last and leads."""
    name = context.problem.name
    for run in among:
        if run.registered and run.registered.version is not None:
            yield run.registered.version, run.run_key
    try:
        yield from ((version.version, version.run_key) for version in context.registry.versions(name))
    except TransientError as error:
        if not patient:
            raise
        log.warning("the models are those of the runs' records and the ledger only: %s", error)
    for entry in context.ledger.entries(name):
        if entry.version is not None and entry.run_key is not None and entry.kind in ("promote", "rollback", "deployed"):
            yield entry.version, entry.run_key
