"""What is different between two batches of rows: which rows by key, which columns, and how far the values moved. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa

if TYPE_CHECKING:
    import polars as pl

EXAMPLES = 3  # changed rows shown per column
PAIRS = 200  # different (old, new) pairs counted per column; with more, examples tell more than counts
Pair = tuple[Any, Any]


@dataclass(frozen=True)
class Example:
    """One changed value."""

    day: str
    key: Any
    old: Any
    new: Any


@dataclass
class ColumnChange:
    """Rows in which a column changed, with examples, and each (old, new) pair counted unless there are too many."""

    num_rows: int = 0
    examples: list[Example] = field(default_factory=list)
    pairs: dict[Pair, int] | None = field(default_factory=dict)

    def add(self, other: "ColumnChange") -> None:
        """Take in what changed on another day."""
        self.num_rows += other.num_rows
        self.examples = (self.examples + other.examples)[:EXAMPLES]
        if self.pairs is None or other.pairs is None:
            self.pairs = None
            return
        for pair, count in other.pairs.items():
            self.pairs[pair] = self.pairs.get(pair, 0) + count
        self.pairs = self.pairs if len(self.pairs) <= PAIRS else None


@dataclass
class RowChanges:
    """Rows by key: a key that stands twice is paired as often as it can be."""

    added: int = 0
    removed: int = 0
    changed: int = 0
    same: int = 0
    columns: dict[str, ColumnChange] = field(default_factory=dict)

    def add(self, other: "RowChanges") -> None:
        """Take in another day."""
        for name in ("added", "removed", "changed", "same"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for column, change in other.columns.items():
            self.columns.setdefault(column, ColumnChange()).add(change)


@dataclass(frozen=True)
class ColumnsChanged:
    """Columns by name and type: `retyped` holds the old and the new type."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    retyped: dict[str, tuple[str, str]]

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.retyped)


def compare_schemas(before: Mapping[str, pa.DataType], after: Mapping[str, pa.DataType]) -> ColumnsChanged:
    """Which columns came, went or changed their type; layouts of one type (string, large_string) are the same."""
    plain = [{name: str(kind).replace("large_", "") for name, kind in one.items()} for one in (before, after)]
    old, new = plain
    retyped = {name: (old[name], new[name]) for name in old if name in new and old[name] != new[name]}
    return ColumnsChanged(tuple(n for n in new if n not in old), tuple(n for n in old if n not in new), retyped)


def compare_rows(before: pa.Table, after: pa.Table, *, key: str, columns: Sequence[str], day: str = "") -> RowChanges:
    """Pair the rows of one day by key and compare them over `columns`.

    Rows that are equal in all columns pair first, so of a key that stands n times before and m times after, with c equal
    rows, min(n, m) - c rows changed and the rest were added or removed. NaN equals NaN, and null equals null.

    Args:
        columns: compared; both tables hold them, and the key.
    """
    import polars as pl

    names = list(dict.fromkeys([key, *columns]))
    old, new = (_frame(rows.select(names)) for rows in (before, after))
    old, new = (one.with_columns(pl.int_range(pl.len()).over(names).alias("_copy")) for one in (old, new))
    exact = [*names, "_copy"]
    left, right = (
        one.join(other, on=exact, how="anti", nulls_equal=True).drop("_copy").sort(names)
        for one, other in ((old, new), (new, old))
    )
    left, right = (one.with_columns(pl.int_range(pl.len()).over(key).alias("_place")) for one in (left, right))
    paired = left.join(right, on=[key, "_place"], how="inner", nulls_equal=True, suffix="\0new", maintain_order="left")
    found = RowChanges(
        added=right.height - paired.height,
        removed=left.height - paired.height,
        changed=paired.height,
        same=old.height - left.height,
    )
    for name in names[1:]:
        changed = paired.filter(pl.col(name).ne_missing(pl.col(f"{name}\0new")))
        if changed.height:
            found.columns[name] = _change(changed.select(key, name, f"{name}\0new"), day)
    return found


def _frame(rows: pa.Table) -> "pl.DataFrame":
    """Rows as polars has them; lists become text, because they cannot be joined."""
    import polars as pl

    frame = pl.DataFrame(pl.from_arrow(rows))
    lists = [name for name, kind in frame.schema.items() if isinstance(kind, pl.List)]
    return frame.with_columns(pl.col(name).list.eval(pl.element().cast(pl.String)).list.join("; ") for name in lists)


def _change(changed: "pl.DataFrame", day: str) -> ColumnChange:
    _, old, new = changed.columns
    shown = changed.head(EXAMPLES).rows()
    counts = changed.group_by(old, new).len()
    pairs = {(a, b): count for a, b, count in counts.rows()} if counts.height <= PAIRS else None
    return ColumnChange(changed.height, [Example(day, *row) for row in shown], pairs)
