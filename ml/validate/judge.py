"""Every rule of a suite on rows that come in pieces, so that memory does not grow with the window.

Rules about a row by itself are answered piece by piece. Uniqueness keeps 64 bits a row, and then looks exactly at the few rows
whose bits are not theirs alone. A rule about a column as a whole keeps that column and nothing else.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ml.errors import DataError
from ml.records import RuleResult
from ml.validate import engine
from ml.validate.engine import EXAMPLES, Found, Positions
from ml.validate.rules import Rule, rules

if TYPE_CHECKING:
    import great_expectations as gx
    import pandas as pd

PIECE_ROWS = 2**19
PIECE_BYTES = 2**27
SMALL_ROWS = 2**16
Read = Callable[[Sequence[str]], Iterator[pa.Table]]  # the same rows in the same order at every call, some columns of them
Hashes = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Outcome:
    """One rule on one batch; `rows` are the positions of the rows that broke a row rule, ascending."""

    result: RuleResult
    rows: Positions
    columns: tuple[str, ...] = ()
    expected: str = ""
    examples: tuple[Any, ...] = ()


@dataclass
class Tally:
    """What one rule found so far."""

    rows: list[Positions] = field(default_factory=list)
    examples: list[Any] = field(default_factory=list)
    observed: Any = None
    holds: bool = True

    def add(self, found: Found, offset: int = 0) -> None:
        """Take the answer about one piece in; `offset` is the position of its first row."""
        self.holds = self.holds and found.holds
        self.observed = found.observed
        if len(found.rows):
            self.rows.append(found.rows + offset)
        self.examples = (self.examples + list(found.examples))[:EXAMPLES]


def judge(rows: pa.Table, suite: "gx.ExpectationSuite") -> list[Outcome]:
    """Every rule of a suite on rows in memory.

    Raises: as `judge_pieces`.
    """
    return judge_pieces(lambda columns: iter([rows.select(columns)]), rows.schema, suite)


def judge_pieces(read: Read, schema: pa.Schema, suite: "gx.ExpectationSuite") -> list[Outcome]:
    """Every rule of a suite on rows that are read once, and twice only where keys repeat.

    Args:
        schema: of the rows; `read` gives any of its columns.
    Raises: DataError: a rule cannot be computed, or fails without naming a row.
    """
    every = rules(suite)
    _refuse_absent(every, schema)
    tallies = {id(rule): Tally() for rule in every}
    kept = _Kept(every, schema)
    of_rows = [rule for rule in every if rule.reach == "row"]
    needed = sorted({column for rule in every for column in _needs(rule, schema)}) or schema.names[:1]
    num_rows = 0
    for piece in read(needed):
        for columns, group in _by_columns(of_rows, schema, piece.num_rows):
            for rule, found in zip(group, engine.check(_frame(piece.select(columns)), group), strict=True):
                tallies[id(rule)].add(found, num_rows)
        kept.add(piece)
        num_rows += piece.num_rows
    for rule, found in kept.answers(read, num_rows):
        tallies[id(rule)].add(found)
    return [_outcome(rule, tallies[id(rule)], num_rows) for rule in every]


def pieces(batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.Table]:
    """Batches put together to tables of at most `PIECE_ROWS` rows and hardly more than `PIECE_BYTES`, at least one table."""
    waiting: list[pa.RecordBatch] = []
    num_rows, num_bytes, given = 0, 0, False
    for batch in batches:
        while num_rows + batch.num_rows > PIECE_ROWS or num_bytes > PIECE_BYTES:
            room = PIECE_ROWS - num_rows if num_bytes <= PIECE_BYTES else 0
            yield pa.Table.from_batches([*waiting, batch.slice(0, room)], schema)
            batch, waiting, num_rows, num_bytes, given = batch.slice(room), [], 0, 0, True
        waiting.append(batch)
        num_rows, num_bytes = num_rows + batch.num_rows, num_bytes + batch.nbytes
    if num_rows or not given:
        yield pa.Table.from_batches(waiting, schema)


class _Kept:
    """What rules that look further than a row need from every piece, and their answers at the end."""

    def __init__(self, every: Sequence[Rule], schema: pa.Schema) -> None:
        self.schema = schema
        self.shared = [rule for rule in every if rule.reach == "shared"]
        self.whole = [rule for rule in every if rule.reach == "whole"]
        self.others = [rule for rule in every if rule.reach in ("count", "schema")]
        values = {column for rule in self.whole if not rule.nulls_only for column in _needs(rule, schema)}
        nulls = {column for rule in self.whole if rule.nulls_only for column in rule.columns} - values
        self.columns: dict[str, list[pa.ChunkedArray]] = {column: [] for column in values | nulls}
        self.nulls = nulls
        self.hashes: dict[tuple[str, ...], list[Hashes]] = {tuple(rule.columns): [] for rule in self.shared}

    def add(self, piece: pa.Table) -> None:
        """Keep what is needed of a piece."""
        for column, parts in self.columns.items():
            values = piece[column]
            parts.append(_presence(values) if column in self.nulls else _compact(values))
        for columns, hashes in self.hashes.items():
            hashes.append(row_hashes(piece.select(list(columns))))

    def answers(self, read: Read, num_rows: int) -> Iterator[tuple[Rule, Found]]:
        """What the rules say about all rows."""
        for rule in self.others:
            yield rule, engine.check(_numbered(num_rows) if rule.reach == "count" else _names(self.schema), [rule])[0]
        groups = list(_by_columns(self.whole, self.schema, num_rows))
        while groups:
            columns, group = groups.pop()
            frame = _frame(pa.table({column: _joined(self.columns[column]) for column in columns}))
            for column in set(columns) - {column for others, _ in groups for column in others}:
                del self.columns[column]
            yield from zip(group, engine.check(frame, group), strict=True)
        for rule in self.shared:
            rows = repeated(self.hashes[tuple(rule.columns)])
            yield rule, engine.check(_frame(take(read, _needs(rule, self.schema), rows, self.schema), index=rows), [rule])[0]


def row_hashes(rows: pa.Table) -> Hashes:
    """64 bits per row; equal rows have equal bits, and as in pandas NaN is a missing value and 0.0 is -0.0."""
    import polars as pl

    return pl.DataFrame(pl.from_arrow(rows)).fill_nan(None).hash_rows().to_numpy()


def repeated(hashes: Sequence[Hashes]) -> Positions:
    """Positions of the rows whose hash is not theirs alone: all that can repeat another row, and by chance a few more."""
    ordered = np.concatenate([*hashes, np.array([], np.uint64)])
    ordered.sort()
    twice = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    found, offset = [np.array([], np.int64)], 0
    for part in hashes if len(twice) else ():
        places = np.minimum(np.searchsorted(twice, part), len(twice) - 1)
        found.append(np.flatnonzero(twice[places] == part) + offset)
        offset += len(part)
    return np.concatenate(found)


def take(read: Read, columns: list[str], rows: Positions, schema: pa.Schema) -> pa.Table:
    """Some columns of the rows at some positions."""
    found, offset = [pa.schema([schema.field(column) for column in columns]).empty_table()], 0
    for piece in read(columns) if len(rows) else ():
        if offset > rows[-1]:
            break
        inside = rows[np.searchsorted(rows, offset) : np.searchsorted(rows, offset + piece.num_rows)]
        found.append(piece.take(pa.array(inside - offset)))
        offset += piece.num_rows
    return pa.concat_tables(found)


def _by_columns(group: Sequence[Rule], schema: pa.Schema, num_rows: int) -> Iterator[tuple[list[str], list[Rule]]]:
    """Rules of one kind that need the same columns, together; of a small batch all rules.

    A question costs Great Expectations 5 ms whatever the rows, and with each rule it copies every column of the frame.
    """
    together = num_rows <= SMALL_ROWS

    def key(rule: Rule) -> tuple[str, list[str]]:
        return rule.kind, [] if together else _needs(rule, schema)

    for _, members in groupby(sorted(group, key=key), key=key):
        alike = list(members)
        yield sorted({column for rule in alike for column in _needs(rule, schema)}), alike


def _needs(rule: Rule, schema: pa.Schema) -> list[str]:
    if rule.reach in ("count", "schema"):
        return []
    return list(schema.names) if rule.conditional else list(rule.columns)


def _refuse_absent(every: Sequence[Rule], schema: pa.Schema) -> None:
    for rule in every:
        absent = [] if rule.reach == "schema" else sorted(set(rule.columns) - set(schema.names))
        if absent:
            raise DataError(
                f"{rule.name} could not be computed: the rows have no column {absent[0]!r}, only {', '.join(schema.names)}. "
                "Name a column that the problem file reads."
            )


def _frame(rows: pa.Table, index: Positions | None = None) -> "pd.DataFrame":
    frame: pd.DataFrame = rows.to_pandas()
    if index is not None:
        frame.index = index
    return frame


def _numbered(num_rows: int) -> "pd.DataFrame":
    """As many rows, and nothing in them."""
    import pandas as pd

    return pd.DataFrame(index=pd.RangeIndex(num_rows))


def _names(schema: pa.Schema) -> "pd.DataFrame":
    return _frame(schema.empty_table())


def _presence(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """True where there is a value, null where there is none."""
    return pc.if_else(pc.is_null(values, nan_is_null=True), pa.scalar(None, pa.bool_()), pa.scalar(True))


def _compact(values: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.dictionary_encode(values) if pa.types.is_string(values.type) or pa.types.is_large_string(values.type) else values


def _joined(parts: Sequence[pa.ChunkedArray]) -> pa.ChunkedArray:
    whole = pa.chunked_array([chunk for part in parts for chunk in part.chunks], parts[0].type)
    return whole.cast(whole.type.value_type) if pa.types.is_dictionary(whole.type) else whole


def _outcome(rule: Rule, tally: Tally, num_rows: int) -> Outcome:
    rows = np.concatenate(tally.rows) if tally.rows else np.array([], np.int64)
    shown = tally.observed if rule.kind == "table" else tally.examples or ""
    result = RuleResult(
        rule=rule.name,
        kind=rule.kind,
        severity=rule.severity,
        holds=tally.holds,
        num_broken=len(rows),
        share=len(rows) / num_rows if num_rows else 0.0,
        observed=_told(shown)[:300],
        why=rule.why,
    )
    return Outcome(result, rows, tuple(rule.columns), rule.expected, tuple(tally.examples))


def _told(shown: Any) -> str:
    if isinstance(shown, float):
        return f"{shown:.8g}"  # a mean has sixteen digits, of which nobody reads more
    return "" if shown is None else str(shown)
