"""What one version of a table holds: days, rows, columns, and each column in a line."""

from dataclasses import dataclass

from ml.context import Context
from ml.profile import GRID, ColumnProfile, Profile, Profiler
from ml.tables import DAY
from ml.versions.compare import kinds_of
from ml.versions.names import Ref, every_day
from ml.window import Window

VALUES = 3  # most frequent values named


@dataclass(frozen=True)
class Contents:
    """One version, or some days of it.

    Attributes:
        num_rows_by_day: only days that have rows.
        types: Arrow's name of every column's type.
        profile: of the columns that have a distribution; keys have none.
    """

    ref: Ref
    num_rows_by_day: dict[str, int]
    types: dict[str, str]
    profile: Profile


def contents(context: Context, ref: Ref, *, window: Window | None = None) -> Contents:
    """Look through the rows of a version, in constant memory.

    Raises: DataError: the version is not there, or vacuum removed its files.
    """
    table = context.table(ref.table)
    types = table.schema(ref.version)
    span = window or every_day(table, ref.version)
    kinds = kinds_of(context.problem, {name: type_ for name, type_ in types.items() if name != DAY})
    profiler = Profiler(kinds, context.problem.source.timezone)
    for batch in table.batches(span, version=ref.version) if span else ():
        profiler.add(batch)
    counts = table.num_rows(span, version=ref.version) if span else {}
    return Contents(ref, counts, {name: str(type_) for name, type_ in types.items()}, profiler.result())


def in_short(column: ColumnProfile) -> str:
    """The values of a column in a line."""
    if column.quantiles:
        low, middle, high = (f"{column.quantiles[GRID.index(share)]:.5g}" for share in (0.0, 0.5, 1.0))
        return f"{low} to {high}, median {middle}"
    if column.kind == "datetime" and column.first and column.last:
        return f"{column.first:%Y-%m-%d %H:%M} to {column.last:%Y-%m-%d %H:%M}"
    if column.lengths:
        return f"{column.lengths[GRID.index(0.5)]:,.0f} characters in the median, {column.lengths[-1]:,.0f} at most"
    if not column.values:
        return "nothing but missing values"
    shares = [f"{value} {count / max(column.num_present, 1):.0%}" for value, count in list(column.values.items())[:VALUES]]
    more = column.distinct - len(shares)
    return ", ".join(shares) + (f" and {more:,} more" if more > 0 else "")
