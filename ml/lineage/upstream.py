"""From a served prediction or a version back to the run, the rows, the versions of the tables, and the code."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from ml import past, requests
from ml.context import Context
from ml.errors import DataError, TransientError
from ml.lineage.origins import Origins
from ml.past import PastRun
from ml.records import Part
from ml.snapshot import PARTS, ROWS
from ml.store import digest
from ml.window import Window

DECIDED = ("verdict", "approved", "rejected", "promote", "rollback", "refused", "deployed", "deploy_failed")


@dataclass(frozen=True)
class Upstream:
    """Where a version comes from.

    Attributes:
        intact: whether the snapshot still is, to the byte, what the run recorded; None when it is gone.
        sources: per version of `raw`, the days of the snapshot that came from it.
        code_version, problem_digest: what ran; empty when neither the run's record nor MLflow tells.
        decisions: what the ledger says about the run or the version, oldest first.
        served: rows that the version answered.
    """

    version: int
    run_key: str
    raw_version: int | None
    valid_version: int | None
    window: str
    parts: dict[str, Part]
    rows_digest: str
    intact: bool | None
    sources: dict[int, list[date]]
    model_digest: str
    code_version: str
    problem_digest: str
    decisions: tuple[str, ...]
    served: int


@dataclass(frozen=True)
class Prediction:
    """One request with its answers, and the version that gave them."""

    request_id: str
    rows: tuple[dict[str, Any], ...]
    version: Upstream


def of_version(context: Context, version: int) -> Upstream:
    """The run, data and code of a registered version.

    Raises: DataError: there is no such version, or its run left no records.
    """
    names = past.models(context, patient=True)
    if version not in names:
        known = ", ".join(map(str, names)) or "none"
        raise DataError(f"There is no version {version} of {context.problem.name}. Versions: {known}.")
    run = past.run_of(context, names[version])
    prepared, trained = run.prepared, run.trained
    if prepared is None or run.ingested is None or trained is None:
        raise DataError(f"The records of run {run.run_key}, which made version {version}, are gone from the store.")
    code, rules = _what_ran(context, run, version)
    answered = requests.answered(context.settings.database_url, context.problem.name, [version])
    return Upstream(
        version=version,
        run_key=run.run_key,
        raw_version=run.read("raw"),
        valid_version=prepared.valid_version,
        window=str(run.ingested.window),
        parts={part: getattr(prepared, part) for part in PARTS},
        rows_digest=prepared.rows_digest,
        intact=_intact(context, run),
        sources=_sources(context, run),
        model_digest=trained.model_digest,
        code_version=code,
        problem_digest=rules,
        decisions=_decisions(context, run.run_key, version),
        served=sum(one.num_rows for one in answered.values()),
    )


def of_prediction(context: Context, request_id: str) -> Prediction:
    """The version, run and data behind a served answer.

    Raises: DataError: the request log knows no such request.
    """
    rows = requests.find(context.settings.database_url, context.problem.name, request_id)
    if not rows:
        raise DataError(
            f"The request log of {context.problem.name} has no request {request_id!r}. The service names it in its answer as "
            "`request_id`; it may have been erased, or not be written yet."
        )
    return Prediction(request_id, tuple(rows), of_version(context, rows[0]["version"]))


def _what_ran(context: Context, run: PastRun, version: int) -> tuple[str, str]:
    """Code version and digest of the problem file, by the run's record or else by MLflow's tags."""
    tags: Mapping[str, str] = run.registered.made_by if run.registered else {}
    if not tags:
        try:
            found = context.registry.version(context.problem.name, version)
        except TransientError:
            found = None
        tags = found.tags if found else {}
    return tags.get("code_version", ""), tags.get("problem_digest", "")


def _intact(context: Context, run: PastRun) -> bool | None:
    theirs = context.of_run(run.run_key)
    if run.prepared is None or not context.store.exists(theirs.name(ROWS)):
        return None
    return digest(theirs.file(ROWS)) == run.prepared.rows_digest


def _sources(context: Context, run: PastRun) -> dict[int, list[date]]:
    assert run.prepared is not None  # noqa: S101 - the caller has looked
    origins, found = Origins(context.table("raw"), past.runs(context)), dict[int, list[date]]()
    for day in Window(run.prepared.train.first, run.prepared.test.last + timedelta(days=1)):
        for version in origins.of(run, day)[-1:]:
            found.setdefault(version, []).append(day)
    return found


def _decisions(context: Context, run_key: str, version: int) -> tuple[str, ...]:
    entries = context.ledger.entries(context.problem.name)
    ours = [e for e in entries if e.kind in DECIDED and (e.version == version or (e.version is None and e.run_key == run_key))]
    return tuple(f"{entry.at:%Y-%m-%d %H:%M} UTC {entry.kind} by {entry.actor}" for entry in ours)
