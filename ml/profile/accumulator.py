"""What every accumulator does: count a column batch by batch, and keep its part of the sample."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ml.profile.record import SKETCH, TOP, ColumnProfile, Kind
from ml.profile.sketch import Sketch

DAY_VALUES = 20  # a day's median of fewer says nothing


class Accumulator(ABC):
    """Counts of one column, and its part of the sample."""

    kind: Kind

    def __init__(self, arrow: pa.DataType, zone: str) -> None:
        self.arrow, self.zone = str(arrow), zone
        self.num_rows = self.num_null = 0
        self._sampled: list[pa.Array] = [pa.array([], self.stored)]
        self.sketch = Sketch()

    @property
    @abstractmethod
    def stored(self) -> pa.DataType:
        """Type of the sampled values."""

    @abstractmethod
    def count(self, values: pa.Array) -> None:
        """Take all values of a batch in."""

    @abstractmethod
    def describe(self) -> dict[str, object]:
        """The fields of this kind."""

    def prepare(self, values: pa.Array) -> pa.Array:
        """Bring values into the form that is counted."""
        return values if values.type == self.stored else values.cast(self.stored)

    def add(self, values: pa.Array, sampled: pa.Array) -> None:
        """Take a batch in: all its values, and those of the sampled rows."""
        self.num_rows += len(values)
        self.num_null += values.null_count
        self.count(self.prepare(values))
        if len(sampled):
            self._sampled.append(self.keep(self.prepare(sampled)))

    @property
    def sample(self) -> pa.Array:
        """Values of the sampled rows, in the order of the rows."""
        if len(self._sampled) > 1:
            self._sampled = [pa.concat_arrays(self._sampled)]
        return self._sampled[0]

    def keep(self, sampled: pa.Array) -> pa.Array:
        """What of a sampled value is kept."""
        return sampled

    def thin(self, keep: pa.Array) -> None:
        """Leave part of the sample."""
        self._sampled = [self.sample.filter(keep)]

    def result(self) -> ColumnProfile:
        """The profile of everything added."""
        return ColumnProfile(
            kind=self.kind,
            arrow=self.arrow,
            num_rows=self.num_rows,
            num_null=self.num_null,
            distinct=self.sketch.distinct(),
            sketch=() if self.kind == "text" else tuple(int(one) for one in self.sketch.hashes[:SKETCH]),
            **self.describe(),
        )

    def spread(self, days: Sequence[npt.NDArray[np.int64]]) -> dict[str, object]:
        """The lowest and the highest day, given the places of each day's rows in the sample."""
        missing = self.sample.is_null(nan_is_null=True).to_numpy(zero_copy_only=False)
        shares = [float(missing[rows].mean()) for rows in days]
        told = sum((1 - share) * len(rows) >= DAY_VALUES for share, rows in zip(shares, days, strict=True))
        return {"num_days": told, "day_nulls": (min(shares), max(shares))}

    def scaled(self, counts: Mapping[str, float], most: int = TOP) -> dict[str, int]:
        """Counts of the sample as counts of all rows, the most frequent first."""
        return top({name: round(count * self._factor()) for name, count in counts.items()}, most)

    def scaled_bins(self, places: pa.Array, size: int) -> tuple[int, ...]:
        """Counts per place 0 to size - 1 in the sample, as counts of all rows."""
        counts = np.bincount(places.to_numpy(zero_copy_only=False).astype(np.int64), minlength=size)
        return tuple(round(count * self._factor()) for count in counts.tolist())

    def _factor(self) -> float:
        present = len(self.sample) - self.sample.null_count
        return (self.num_rows - self.num_null) / present if present else 0.0


def top(counts: Mapping[str, int], most: int = TOP) -> dict[str, int]:
    """The most frequent values, equal ones by name."""
    return dict(sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))[:most])
