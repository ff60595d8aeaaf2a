"""How staged rows become a version: compare and set on the table's log, so that two writers lose nothing."""

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from ml.errors import TransientError
from ml.tables import digest, log, place
from ml.tables.columns import DAY, merged
from ml.tables.staged import Staged

if TYPE_CHECKING:
    from deltalake import DeltaTable

ATTEMPTS = 100  # at least one writer gets through per round, so this many others may come first


class OvertakenError(TransientError):
    """Somebody else changed the days in the meantime."""


@dataclass(frozen=True)
class Change:
    """What is to be in the table: of the days that `replaces` says yes to, exactly the staged rows."""

    rows: Staged
    replaces: Callable[[str], bool]
    note: Mapping[str, str]
    based_on: int | None = None  # the version the rows were made from, if they were
    unless: Callable[[], None] = lambda: None  # raises where the rows must not go in; asked last before each try


def put(location: str, change: Change) -> int:
    """Commit what differs, on whatever version is the newest by then; returns the version that holds the rows.

    Raises: see `Table.commit`.
    """
    from deltalake.exceptions import DeltaError

    same: dict[frozenset[str], bool] = {}
    for _ in range(ATTEMPTS):
        delta = log.open_(location) if log.exists(location) else None
        try:
            with place.reaching(location):
                return _attempt(location, delta, change, same)
        except DeltaError:
            if not log.exists(location) or (delta is not None and log.open_(location).version() == delta.version()):
                raise
            time.sleep(random.uniform(0, 0.05))  # noqa: S311  # so that two writers do not meet again and again  # nosec B311
    raise too_busy(location)


def too_busy(location: str) -> TransientError:
    """What to tell when others always were first."""
    return TransientError(
        f"Table {location} was changed by others {ATTEMPTS} times while this run tried to write. Try again later."
    )


def _attempt(location: str, delta: "DeltaTable | None", change: Change, same: dict[frozenset[str], bool]) -> int:
    rows = change.rows
    if delta is None:
        change.unless()
        version = log.create(location, rows.plain_schema, rows.files, change.note)
        rows.files.clear()
        return version
    schema = merged(log.schema(delta), rows.plain_schema, table=location)
    held: dict[str, set[str]] = {}
    for one in log.files(delta):
        if change.replaces(one[f"partition.{DAY}"]):
            held.setdefault(one[f"partition.{DAY}"], set()).add(one["path"])
    _refuse_overtaken(location, change, held)
    unchanged = {day for day, files in held.items() if _same(delta, day, frozenset(files), rows, same)}
    differing = (set(held) | set(rows.num_rows_by_day)) - unchanged
    version = int(delta.version())
    if differing:
        change.unless()
        version = log.put(delta, differing, [one for one in rows.files if one.day in differing], schema, change.note)
    rows.discard(unchanged)
    rows.files.clear()  # they are the table's now, also when a newer version soon replaces them
    return version


def _refuse_overtaken(location: str, change: Change, held: Mapping[str, set[str]]) -> None:
    if change.based_on is None:
        return
    before: dict[str, set[str]] = {}
    for one in log.files(log.open_(location, change.based_on)):
        if change.replaces(one[f"partition.{DAY}"]):
            before.setdefault(one[f"partition.{DAY}"], set()).add(one["path"])
    if before != held:
        changed = sorted(day for day in {*before, *held} if before.get(day) != held.get(day))
        raise OvertakenError(f"Days {changed} of table {location} were changed by somebody else meanwhile. Start over.")


def _same(delta: "DeltaTable", day: str, files: frozenset[str], rows: Staged, known: dict[frozenset[str], bool]) -> bool:
    """Whether the table holds exactly the staged rows for a day, in any order; columns only it has do not count."""
    if files not in known:
        known[files] = _compare(delta, day, rows)
    return known[files]


def _compare(delta: "DeltaTable", day: str, rows: Staged) -> bool:
    dataset = log.dataset(delta)
    if day not in rows.num_rows_by_day or not set(rows.columns) <= set(dataset.schema.names):
        return False
    inside = pc.field(DAY) == day
    if dataset.count_rows(filter=inside) != rows.num_rows_by_day[day]:
        return False
    types = pa.schema([rows.plain_schema.field(name) for name in rows.columns])
    batches = (batch.cast(types) for batch in log.batches(delta, inside, rows.columns))
    return digest.fingerprint(batches, rows.columns)[1] == rows.fingerprints[day]
