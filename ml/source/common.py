"""What every kind of source shares: which columns are read, as what, and what a reader gives back."""

import difflib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import date

import pyarrow as pa

from ml.errors import DataError
from ml.problem import Problem
from ml.tables import ARROW_TYPES, DAY

ARROW = ARROW_TYPES | {"key": pa.string()}


@dataclass
class Rows:
    """Rows of a window that were known at a moment.

    `schema` is the declared columns and `_day`; `types` the source's own names of the types of all its columns, in its order;
    `batches` can be run through once, and holds a bounded number of rows at a time. Known after it: `num_deleted`, and
    `num_late`, the rows of days before the window that became known since the last time, and the first of those days.
    """

    schema: pa.Schema
    types: dict[str, str]
    batches: Iterator[pa.RecordBatch]
    num_deleted: int = 0
    num_late: int = 0
    first_late: date | None = None


def columns(problem: Problem) -> dict[str, str]:
    """Every column that is read, with its type: key, times, label, then the features."""
    source = problem.source
    fixed: dict[str, str] = {source.key: "key", source.event_time: "datetime", source.label_time: "datetime"}
    fixed |= dict.fromkeys(source.labels, problem.task.label)
    if source.available_at:
        fixed[source.available_at] = "datetime"
    if problem.privacy.subject:
        fixed.setdefault(problem.privacy.subject, "key")
    return fixed | {name: feature.type for name, feature in problem.features.items() if name not in fixed}


def schema_of(wanted: dict[str, str]) -> pa.Schema:
    """Columns as Arrow types, and the day as a dictionary: a batch holds few."""
    return pa.schema([*((name, ARROW[kind]) for name, kind in wanted.items()), (DAY, pa.dictionary(pa.int32(), pa.string()))])


def refuse_missing(holder: str, wanted: Collection[str], columns: Collection[str]) -> None:
    """Raise DataError unless the file or table has all wanted columns."""
    for column in wanted:
        if column not in columns:
            near = difflib.get_close_matches(column, list(columns), n=1)
            raise DataError(
                f"{holder} has no column {column!r}; it has {sorted(columns)}. "
                + (f"Was it renamed to {near[0]!r}? " if near else "")
                + "Name the column as the source does in the problem file, or ask its owner."
            )
