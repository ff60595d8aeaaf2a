"""The reference rows: keys that no model ever learns from, frozen once, so that models of different nights meet the same rows.

Which keys these are is decided by a checksum of the key alone, so every run, early or late, sets the same ones aside. The
first run that has some freezes its own; they are frozen anew, from the same keys in newer days, when they have grown old or
when the problem's columns have changed so that models cannot be scored on them any more.
"""

import zlib
from datetime import date

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict

from ml import exclusions
from ml.context import Context
from ml.problem import Problem
from ml.snapshot import LEARNED, ROWS
from ml.store import digest
from ml.tables import DAY
from ml.window import local_day

PART = "reference"  # in `_part` of frozen rows, beside train, validation and test
FOLDER, CURRENT = "reference", "reference/current.json"
FEWEST = 50  # rows; fewer say nothing
SLICES = 1_000_000


class Frozen(BaseModel):
    """Which set is in use."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str
    frozen_on: date
    columns: tuple[str, ...]
    classes: tuple[str, ...] = ()

    @property
    def file(self) -> str:
        """Its rows in the store."""
        return f"{FOLDER}/{self.name}.parquet"


def is_reference(keys: pa.ChunkedArray, share: float) -> npt.NDArray[np.bool_]:
    """Whether rows of these keys are set aside, shape (n,)."""
    sums = np.fromiter((zlib.crc32(key.encode()) for key in keys.cast(pa.string()).to_pylist()), np.int64, len(keys))
    return np.asarray(sums % SLICES < share * SLICES)


def set_aside(rows: pa.Table, problem: Problem) -> pa.Table:
    """Give rows of `train` and `validation` whose keys are set aside the part `reference`; what judges stays as it is.

    Where rows come in groups none are: other rows of their group would still be learned from.
    """
    share = 0.0 if problem.split.group else problem.success.reference_share
    part = np.asarray(rows["_part"].to_pylist(), dtype=object)
    part[is_reference(rows["_key"], share) & (part != "test")] = PART
    return rows.set_column(rows.column_names.index("_part"), "_part", pa.array(part, pa.string()))


def rows_of(context: Context) -> tuple[Frozen, pa.Table, str] | None:
    """The frozen set, its rows and their digest; frozen now from this run's rows when there is none, or none that serves.

    Rows of days that people took out since are left out; None when too few are left.
    """
    today = local_day(context.settings.now(), context.problem.source.timezone)
    current = _current(context)
    if current is None or not _serves(current, context.problem, today):
        current = _freeze(context, today) or current
    if current is None or not _fits(current, context.problem):
        return None
    path = context.store.fetch(current.file)
    rows = exclusions.without(pq.read_table(path), exclusions.days(context))
    return (current, rows, digest(path)) if rows.num_rows >= FEWEST else None


def num_learned(context: Context, rows: pa.Table) -> int:
    """How many of the rows the model of a run learned from; one of a time when no rows were set aside may have.

    Raises: DataError: the run's frozen rows are gone.
    """
    learned = pq.read_table(context.file(ROWS), columns=["_key"], filters=[("_part", "in", LEARNED)])
    return int(pc.sum(pc.is_in(rows["_key"], learned["_key"])).as_py() or 0)


def _current(context: Context) -> Frozen | None:
    return Frozen.model_validate(context.store.read_json(CURRENT)) if context.store.exists(CURRENT) else None


def _serves(current: Frozen, problem: Problem, today: date) -> bool:
    return _fits(current, problem) and (today - current.frozen_on).days < problem.success.reference_days


def _fits(current: Frozen, problem: Problem) -> bool:
    """Whether the rows hold what is asked now, and no class that is not asked any more."""
    return set(_columns(problem)) <= set(current.columns) and set(current.classes) == set(problem.problem.classes)


def _columns(problem: Problem) -> tuple[str, ...]:
    return (*problem.features, *problem.outputs)  # other labels or classes are other columns here


def _freeze(context: Context, today: date) -> Frozen | None:
    rows = pq.read_table(context.file(ROWS), filters=[("_part", "=", PART)])
    if rows.num_rows < FEWEST:
        return None
    columns = (*(name for name in rows.column_names if name not in (DAY, "_key", "_label", "_part")), *context.problem.outputs)
    frozen = Frozen(name=context.run_key, frozen_on=today, columns=columns, classes=context.problem.problem.classes)
    with context.store.replacing(frozen.file) as path:
        pq.write_table(rows, path, compression="zstd")
    context.store.write_json(CURRENT, frozen.model_dump(mode="json"))
    return frozen
