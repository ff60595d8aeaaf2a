"""What the rows of a history have in common, counted exactly in one pass; memory does not grow with the rows but for the keys."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ml.tables import DAY, digest

MANY = 1000  # different values, or forms of values, above which a column is not closed
CLASSES = (("[0-9]", "9"), ("[A-Z]", "A"), ("[a-z]", "a"))


@dataclass
class OfDay:
    """One column on one day."""

    num_rows: int = 0
    num_null: int = 0
    total: float = 0.0
    values: set[str] = field(default_factory=set)  # of a closed column

    @property
    def present(self) -> int:
        """Rows with a value."""
        return self.num_rows - self.num_null


@dataclass
class Column:
    """One column over the whole history."""

    kind: str
    days: dict[str, OfDay] = field(default_factory=dict)
    counts: Counter[str] | None = field(default_factory=Counter)  # None: more than MANY different values
    forms: set[str] | None = field(default_factory=set)  # digits as 9, letters as A and a; None: too many
    lengths: tuple[int, int] = (2**31, 0)
    low: float = np.inf
    high: float = -np.inf
    squares: float = 0.0

    @property
    def num_rows(self) -> int:
        """Rows seen."""
        return sum(day.num_rows for day in self.days.values())

    @property
    def num_null(self) -> int:
        """Rows without a value."""
        return sum(day.num_null for day in self.days.values())

    @property
    def mean(self) -> float:
        """Of all values."""
        return sum(day.total for day in self.days.values()) / max(self.num_rows - self.num_null, 1)

    @property
    def std(self) -> float:
        """Population standard deviation."""
        return float(np.sqrt(max(self.squares / max(self.num_rows - self.num_null, 1) - self.mean**2, 0.0)))

    def add(self, day: str, values: pa.Array) -> None:
        """Count the values of one day's rows."""
        if pa.types.is_floating(values.type):
            values = pc.if_else(pc.is_finite(values), values, None)  # NaN and infinities are no values
        of_day = self.days.setdefault(day, OfDay())
        of_day.num_rows += len(values)
        of_day.num_null += values.null_count
        present = values.drop_null()
        if self.kind == "number":
            self._numbers(of_day, np.asarray(present.to_numpy(zero_copy_only=False), np.float64))
        elif self.kind != "datetime":
            self._texts(of_day, present.cast(pa.string()))

    def _numbers(self, of_day: OfDay, values: np.ndarray) -> None:
        if len(values):
            of_day.total += float(values.sum())
            self.squares += float(np.square(values).sum())
            self.low, self.high = min(self.low, float(values.min())), max(self.high, float(values.max()))

    def _texts(self, of_day: OfDay, values: pa.Array) -> None:
        if not len(values):
            return
        sizes = pc.min_max(pc.utf8_length(values)).as_py()
        self.lengths = min(self.lengths[0], sizes["min"]), max(self.lengths[1], sizes["max"])
        if self.counts is not None:
            for one in values.value_counts().to_pylist():
                self.counts[one["values"]] += one["counts"]
                of_day.values.add(one["values"])
            if len(self.counts) > MANY:
                self.counts = None
        if self.forms is not None and self.kind != "text":
            for pattern, letter in CLASSES:
                values = pc.replace_substring_regex(values, pattern, letter)
            self.forms.update(values.unique().to_pylist())
            if len(self.forms) > MANY:
                self.forms = None


@dataclass
class Pair:
    """Two moments of a row, in the rows that have both."""

    num_both: int = 0
    num_later: int = 0  # the first is later than the second
    num_equal: int = 0


class Seen:
    """Add batches in any order, then look."""

    def __init__(self, kinds: Mapping[str, str], key: str) -> None:
        """Look at these columns, by feature type ("key" for those that only name things)."""
        self.columns = {name: Column(kind) for name, kind in kinds.items()}
        moments = [name for name, kind in kinds.items() if kind == "datetime"]
        self.pairs = {pair: Pair() for pair in combinations(moments, 2)}
        self._key = key
        self._keys: list[np.ndarray] = []

    @property
    def num_rows(self) -> int:
        """Rows seen."""
        return sum(self.rows_by_day.values())

    @property
    def rows_by_day(self) -> dict[str, int]:
        """Rows per day, in order."""
        some = next(iter(self.columns.values()))
        return {day: some.days[day].num_rows for day in sorted(some.days)}

    @property
    def key_is_unique(self) -> bool:
        """Whether no two rows carry one key."""
        keys = np.concatenate([np.zeros(0, np.uint64), *self._keys])
        return len(np.unique(keys)) == len(keys)

    def add(self, batch: pa.RecordBatch) -> None:
        """Count the rows of a batch, which has `_day`."""
        self._keys.append(digest.row_hashes(batch, [self._key]))
        for first, second in self.pairs:
            self._pair(self.pairs[first, second], batch.column(first), batch.column(second))
        days = batch.column(DAY).cast(pa.string())
        for day in days.unique().to_pylist():
            rows = batch.filter(pc.equal(days, day))
            for name, column in self.columns.items():
                column.add(day, rows.column(name))

    def _pair(self, pair: Pair, first: pa.Array, second: pa.Array) -> None:
        gaps = pc.subtract(first.cast(pa.int64()), second.cast(pa.int64())).drop_null().to_numpy()
        pair.num_both += len(gaps)
        pair.num_later += int((gaps > 0).sum())
        pair.num_equal += int((gaps == 0).sum())
