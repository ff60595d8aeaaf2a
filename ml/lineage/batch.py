"""The blast radius of a batch: every model that learned from it, and where these models went."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ml import past, requests
from ml.context import Context
from ml.errors import DataError
from ml.ledger import MOVES, Entry
from ml.lineage.origins import Origins
from ml.past import PastRun
from ml.requests import Answered
from ml.snapshot import ROWS
from ml.tables import DAY
from ml.window import Window

IDS = ("request_id", "position", "version", "served_at", "key", "score", "decision", "several")


@dataclass(frozen=True)
class Model:
    """A run whose snapshot holds rows of the batch.

    Attributes:
        versions: what it is called in the registry; none for a candidate that was not registered.
        parts: rows of the batch in each part of the snapshot that has any.
        days: days of the batch that it holds.
        raw_versions: versions of `raw` that these days came from, as far as records tell.
    """

    run_key: str
    versions: tuple[int, ...]
    parts: dict[str, int]
    days: tuple[date, ...]
    valid_version: int
    raw_versions: tuple[int, ...]


@dataclass(frozen=True)
class Blast:
    """All that a batch touched.

    Attributes:
        raw_version: the version of `raw` that held the bad batch; None for any.
        unknown: versions whose snapshot is gone, so that nobody can say.
        served: per version what it answered.
    """

    window: Window
    raw_version: int | None
    models: tuple[Model, ...]
    unknown: tuple[int, ...]
    moves: tuple[Entry, ...]
    deployments: tuple[Entry, ...]
    served: dict[int, Answered]

    @property
    def versions(self) -> tuple[int, ...]:
        """Registered versions whose snapshot holds the batch in any part."""
        return tuple(sorted({version for model in self.models for version in model.versions}))

    @property
    def num_served(self) -> int:
        """Rows answered by these versions."""
        return sum(one.num_rows for one in self.served.values())


def blast_radius(context: Context, window: Window, *, raw_version: int | None = None) -> Blast:
    """Everything that the rows of some days went into.

    Args:
        raw_version: only what used these days as `raw` held them at this version; default: at any.
    Raises: DataError: `raw` has no such version, or no rows of these days then. TransientError: the database is away.
    """
    _refuse_empty(context, window, raw_version)
    runs = past.runs(context)
    named = past.models(context, patient=True, among=runs)
    origins = Origins(context.table("raw"), runs)
    found = [_touched(context, run, window, origins, raw_version) for run in runs if run.prepared]
    models = tuple(_named(model, named) for model in found if model)
    versions = sorted({version for model in models for version in model.versions})
    entries = [entry for entry in context.ledger.entries(context.problem.name) if entry.version in versions]
    frozen = {run.run_key for run in runs if run.prepared and _has_rows(context, run)}
    return Blast(
        window=window,
        raw_version=raw_version,
        models=models,
        unknown=tuple(version for version, run_key in named.items() if run_key not in frozen),
        moves=tuple(entry for entry in entries if entry.kind in MOVES),
        deployments=tuple(entry for entry in entries if entry.kind == "deployed"),
        served=requests.answered(context.settings.database_url, context.problem.name, versions) if versions else {},
    )


def served_rows(context: Context, blast: Blast) -> Iterator[pa.Table]:
    """The logged rows that touched versions answered, a day at a time, oldest first."""
    if not blast.served:
        return
    zone = ZoneInfo(context.problem.source.timezone)
    served = blast.served.values()
    moments = min(one.first for one in served), max(one.last for one in served)
    first, last = (moment.astimezone(zone).date() for moment in moments)
    versions = pa.array(list(blast.served), pa.int32())
    for number in range((last - first).days + 1):
        start, end = (datetime.combine(first + timedelta(days=number + step), time(), zone) for step in (0, 1))
        rows = requests.read(context.settings.database_url, context.problem.name, start, end)
        touched = rows.filter(pc.is_in(rows["version"], versions))
        if touched.num_rows:
            yield touched


def write_served(context: Context, blast: Blast, out: Path) -> int:
    """The touched predictions as CSV: which request, row, version, when, and what was answered; returns their number."""
    num_rows, scratch = 0, out.with_name(f".{out.name}.writing")
    try:
        with scratch.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(IDS)
            for rows in served_rows(context, blast):
                writer.writerows(tuple(row.values()) for row in rows.select(IDS).to_pylist())
                num_rows += rows.num_rows
        scratch.replace(out)
    finally:
        scratch.unlink(missing_ok=True)
    return num_rows


def rows_by_day(context: Context, run_key: str, window: Window) -> dict[tuple[date, str], int]:
    """Rows of some days in a run's snapshot, per day and part."""
    path = context.of_run(run_key).file(ROWS)
    days = [("_day", ">=", str(window.start)), ("_day", "<", str(window.end))]
    rows = pq.read_table(path, columns=[DAY, "_part"], filters=days)
    counts = rows.group_by([DAY, "_part"]).aggregate([([], "count_all")]).to_pylist()
    return {(date.fromisoformat(one[DAY]), one["_part"]): one["count_all"] for one in counts}


def _refuse_empty(context: Context, window: Window, version: int | None) -> None:
    held = context.table("raw").files(version)
    if version is not None and not any(day in held for day in window):
        raise DataError(f"raw@{version} holds no rows of {window}. `python -m ml data log` says what each version holds.")


def _touched(context: Context, run: PastRun, window: Window, origins: Origins, version: int | None) -> Model | None:
    """The run with what it holds of the batch, None when it holds nothing."""
    assert run.prepared is not None  # noqa: S101 - the caller has looked
    beside = run.prepared.test.last < window.start or run.prepared.train.first >= window.end
    if beside or not _has_rows(context, run):
        return None
    counts = rows_by_day(context, run.run_key, window)
    days = sorted({day for day, _ in counts if version is None or origins.carried(run, day, version)})
    if not days:
        return None
    parts: dict[str, int] = {}
    for (day, part), count in counts.items():
        if day in days:
            parts[part] = parts.get(part, 0) + count
    sources = {origin for day in days for origin in origins.of(run, day)}
    return Model(run.run_key, (), parts, tuple(days), run.prepared.valid_version, tuple(sorted(sources)))


def _has_rows(context: Context, run: PastRun) -> bool:
    return context.store.exists(context.of_run(run.run_key).name(ROWS))


def _named(model: Model, names: dict[int, str]) -> Model:
    versions = tuple(version for version, run_key in names.items() if run_key == model.run_key)
    return Model(**{**vars(model), "versions": versions})
