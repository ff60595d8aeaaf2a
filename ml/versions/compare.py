"""Two versions of a table side by side; only days whose files differ are read, one day at a time."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

import pyarrow as pa

from ml.context import Context
from ml.errors import ConfigError, DataError
from ml.problem import FeatureType, Problem
from ml.tables import DAY, Table
from ml.versions.log import changed_days
from ml.versions.moved import Moved, Side
from ml.versions.moved import compare as compare_values
from ml.versions.names import Ref
from ml.versions.rows import ColumnsChanged, RowChanges, compare_rows, compare_schemas
from ml.window import Window

TRAILING_DAYS = 7  # what new days are held against when nothing else changed


@dataclass(frozen=True)
class Diff:
    """What changed from one version to another.

    Attributes:
        days: changes of rows per day that differs; all other days have the same files.
        num_days: days that either version holds in the window.
        columns: columns that came, went or changed their type; `rows` compares the others.
        rows: all days together.
        compared: which rows `moved` is about, in words.
        moved: how far each column's values moved, the furthest first.
    """

    before: Ref
    after: Ref
    days: dict[date, RowChanges]
    num_days: int
    columns: ColumnsChanged
    rows: RowChanges
    compared: str
    moved: tuple[Moved, ...]

    @property
    def same(self) -> bool:
        """Whether both hold the same rows."""
        return not (self.columns or self.rows.added or self.rows.removed or self.rows.changed)


def compare(context: Context, before: Ref, after: Ref, *, window: Window | None = None) -> Diff:
    """Compare two versions of one table, or of some days of it.

    Raises: ConfigError: they are of two tables. DataError: a version is not there, or vacuum removed its files.
    """
    if before.table != after.table:
        raise ConfigError(f"{before} and {after} are versions of two tables; both must be of one.")
    table, problem = context.table(before.table), context.problem
    files = [_inside(table.files(ref.version), window) for ref in (before, after)]
    days = changed_days(*files)
    schemas = [table.schema(ref.version) for ref in (before, after)]
    changed = compare_schemas(*schemas)
    shared = [name for name in schemas[0] if name in schemas[1] and name not in changed.retyped and name != DAY]
    if problem.source.key not in shared:
        raise DataError(f"One of {before} and {after} has no column {problem.source.key}, the key; their rows cannot be paired.")
    kinds = kinds_of(problem, {name: schemas[1][name] for name in shared})
    sides, found, total = [Side(kinds, problem.source.timezone) for _ in range(2)], {}, RowChanges()
    for day in days:
        old, new = (table.read(_one(day), version=ref.version) for ref in (before, after))
        found[day] = compare_rows(old, new, key=problem.source.key, columns=shared, day=str(day))
        total.add(found[day])
        for side, rows in zip(sides, (old, new), strict=True):
            side.add(rows)
    compared = _trail(table, before, sides[0], days, files[0])
    moved = tuple(compare_values(*sides))
    return Diff(before, after, found, len(files[0].keys() | files[1].keys()), changed, total, compared, moved)


def kinds_of(problem: Problem, columns: Mapping[str, pa.DataType]) -> dict[str, FeatureType]:
    """How each column is compared: as the problem file says, else by its type; keys and lists have no distribution."""
    kinds: dict[str, FeatureType] = {}
    for name, kind in columns.items():
        if name in problem.features:
            kinds[name] = problem.features[name].type
        elif name == problem.source.key or name.startswith("_") or pa.types.is_nested(kind):
            continue
        elif pa.types.is_boolean(kind):
            kinds[name] = "boolean"
        elif pa.types.is_temporal(kind):
            kinds[name] = "datetime"
        else:
            kinds[name] = "number" if pa.types.is_integer(kind) or pa.types.is_floating(kind) else "category"
    return kinds


def _trail(table: Table, before: Ref, side: Side, days: list[date], files: Mapping[date, frozenset[str]]) -> str:
    """Where days were only added, hold them against the days before them; returns what is compared, in words."""
    if side.sample is not None and side.sample.num_rows:
        return "the days that differ, before and after"
    earlier = [day for day in files if days and day < days[0]][-TRAILING_DAYS:]
    for day in earlier:
        side.add(table.read(_one(day), version=before.version))
    return f"the new days against {earlier[0]} to {earlier[-1]}, the days before them" if earlier else ""


def _inside(files: Mapping[date, frozenset[str]], window: Window | None) -> dict[date, frozenset[str]]:
    return {day: names for day, names in sorted(files.items()) if window is None or window.start <= day < window.end}


def _one(day: date) -> Window:
    return Window(day, day + timedelta(days=1))
