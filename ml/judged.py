"""What was judged about a registered version, and whether the version still is what was judged."""

from pathlib import Path

from ml import exclusions, snapshot
from ml.context import Context
from ml.errors import DataError, RefusedError
from ml.ledger import Champion, Entry
from ml.records import Trained


def verdict_of(context: Context, run_key: str) -> Entry | None:
    """The newest verdict on a run; None when the gate never judged it."""
    found = [e for e in context.ledger.entries(context.problem.name) if e.kind == "verdict" and e.run_key == run_key]
    return found[-1] if found else None


def model_of(run: Context) -> Path:
    """Local folder of the model that a run trained, to the byte the one that the ledger's verdict is about; before there is a
    verdict, the one that the run's own record names.

    Raises: DataError: it is gone or another one. TransientError: the store or the ledger is away.
    """
    entry = verdict_of(run, run.run_key)
    expected = entry.body["model_digest"] if entry else run.record(Trained).model_digest
    return snapshot.model_of(run.store, run.run_key, expected)


def demand_yes(context: Context, version: int) -> Entry:
    """The newest verdict on the run of a version; it says promote.

    Raises: RefusedError: there is no such version, or its verdict is missing or does not say promote.
    """
    name = context.problem.name
    registered = context.registry.version(name, version)
    if registered is None:
        raise RefusedError(f"Version {version} of {name} is not in MLflow; it was deleted or never registered. Name another.")
    entry = verdict_of(context, registered.run_key)
    if entry is None:
        raise RefusedError(f"Version {version} of {name} has no verdict in the ledger; only versions that the gate judged move.")
    verdict = entry.body["verdict"]
    if verdict["decision"] != "promote" or verdict["dry_run"]:
        broken = "; ".join(rule["sentence"] for rule in verdict["rules"] if not rule["holds"]) or "it was a dry run"
        raise RefusedError(f"Version {version} of {name} stays a candidate, its verdict is {verdict['decision']}: {broken}.")
    return entry


def demand_same(context: Context, version: Champion) -> None:
    """The version in MLflow, the model on disk and the days it learned from are those that were judged.

    Raises: RefusedError: one of them is not; nothing was moved.
    """
    name = context.problem.name
    if tainted := exclusions.tainted(context.ledger.entries(name), version.run_key):
        told = "; ".join(f"{day}: {why}" for day, why in tainted.items())
        raise RefusedError(
            f"Version {version.version} of {name} learned from days that were excluded since ({told}). Nothing was moved; "
            "retrain, or take the days back in with `python -m ml lineage batch DAY --include`."
        )
    found = context.registry.version(name, version.version)
    if found is None:
        raise RefusedError(f"Version {version.version} of {name} was deleted in MLflow. Nothing was moved; retrain.")
    if (found.run_key, found.model_digest) != (version.run_key, version.model_digest):
        raise RefusedError(
            f"Version {version.version} of {name} in MLflow is model {found.model_digest[:12]} of run {found.run_key!r}; the "
            f"verdict is about {version.model_digest[:12]} of run {version.run_key!r}. Nothing was moved; retrain."
        )
    demand_files(context, version)


def demand_files(context: Context, version: Champion) -> None:
    """The model on disk is the registered one.

    Raises: RefusedError: it is gone or another one.
    """
    try:
        snapshot.model_of(context.store, version.run_key, version.model_digest)
    except DataError as error:
        raise RefusedError(f"Version {version.version} was not moved. {error} Or name another version.") from error


def tag(context: Context, version: int, decision: str, *, by: str, comment: str) -> None:
    """Show on the version's page in MLflow what a person decided, and in which words."""
    tags = {
        "approval": decision,
        "approval_by": by,
        "approval_comment": comment,
        "approval_at": f"{context.settings.now():%FT%TZ}",
    }
    context.registry.tag_version(context.problem.name, version, tags)
