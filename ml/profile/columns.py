"""One accumulator per kind of column: exact where counting is cheap, a sample for the rest."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ml.profile import texts
from ml.profile.accumulator import DAY_VALUES, Accumulator, top
from ml.profile.record import GRID, TOP, Kind
from ml.profile.sketch import EXACT

Floats = npt.NDArray[np.float64]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
HEAD = 200  # characters of a text that are looked at
MINUTE = 60_000_000  # microseconds
MOST_SHAPED = 4_096  # texts whose form is looked at
MOMENT = pa.timestamp("us", "UTC")
LATEST = 253_402_214_400_000_000  # microseconds up to 9999-12-31; later moments are no datetime of Python


class Numbers(Accumulator):
    """Finite values exactly summed up; NaN and infinities counted apart."""

    kind: Kind = "number"
    stored = pa.float64()

    def __init__(self, arrow: pa.DataType, zone: str) -> None:
        super().__init__(arrow, zone)
        self.num_nan = self.num_inf = self.num_zero = self.num_negative = self.num_finite = 0
        self.mean = self.squares = 0.0
        self.low, self.high, self.whole = np.inf, -np.inf, True

    def count(self, values: pa.Array) -> None:
        """Take all values of a batch in."""
        self.sketch.add(values)
        present = np.asarray((values.drop_null() if values.null_count else values).to_numpy(), np.float64)
        finite = present[np.isfinite(present)]
        if len(finite) < len(present):
            num_nan = int(np.isnan(present).sum())
            self.num_nan += num_nan
            self.num_inf += len(present) - len(finite) - num_nan
        if len(finite):
            self._moments(finite)

    def spread(self, days: Sequence[npt.NDArray[np.int64]]) -> dict[str, object]:
        """The lowest and the highest day, also of the median."""
        values = np.asarray(self.sample.to_numpy(zero_copy_only=False), np.float64)
        known = [values[rows][np.isfinite(values[rows])] for rows in days]
        medians = [float(np.quantile(one, 0.5, method="inverted_cdf")) for one in known if len(one) >= DAY_VALUES]
        return super().spread(days) | ({"day_medians": (min(medians), max(medians))} if medians else {})

    def _moments(self, finite: Floats) -> None:
        """Mean and sum of squared deviations of two parts put together (Chan, Golub and LeVeque 1979)."""
        self.num_zero += len(finite) - int(np.count_nonzero(finite))
        self.num_negative += int(np.count_nonzero(finite < 0))
        self.low, self.high = min(self.low, float(finite.min())), max(self.high, float(finite.max()))
        self.whole = self.whole and bool((finite == np.floor(finite)).all())
        with np.errstate(over="ignore", invalid="ignore"):  # numbers near the largest: their variance is none
            mean = float(finite.mean())
            total, step = self.num_finite + len(finite), mean - self.mean
            self.squares += float(np.square(finite - mean).sum()) + step * step * self.num_finite * len(finite) / total
            self.mean += step * len(finite) / total
        self.num_finite = total

    def describe(self) -> dict[str, object]:
        """The fields of numbers."""
        counted: dict[str, object] = {"num_nan": self.num_nan, "num_inf": self.num_inf}
        if not self.num_finite:
            return counted
        known = np.asarray(self.sample.drop_null().to_numpy(), np.float64)
        known = known[np.isfinite(known)]
        found = np.quantile(known, GRID, method="inverted_cdf").tolist() if len(known) else [self.low] * len(GRID)
        values, times = np.unique(known, return_counts=True)
        order = np.argsort(-times, kind="stable")[:TOP]
        squares = self.squares if np.isfinite(self.squares) else None
        return {
            **counted,
            "num_zero": self.num_zero,
            "num_negative": self.num_negative,
            "whole": self.whole,
            "mean": self.mean if np.isfinite(self.mean) else None,
            "std": None if squares is None else float(np.sqrt(squares / self.num_finite)),
            "quantiles": (self.low, *found[1:-1], self.high),
            "values": self.scaled({f"{values[place]:.15g}": int(times[place]) for place in order}),
        }


class Categories(Accumulator):
    """Every value counted, as long as there are at most 10,000; then the counts are those of the sample."""

    kind: Kind = "category"
    stored = pa.string()

    def __init__(self, arrow: pa.DataType, zone: str) -> None:
        super().__init__(arrow, zone)
        self.counts: Counter[str] | None = Counter()

    def count(self, values: pa.Array) -> None:
        """Take all values of a batch in."""
        if self.counts is None:
            return self.sketch.add(values)
        found = (values.drop_null() if values.null_count else values).value_counts()
        names = found.field("values").to_pylist()
        fresh = [place for place, value in enumerate(names) if value not in self.counts]
        if fresh:
            self.sketch.add(found.field("values").take(pa.array(fresh)))
        if len(self.counts) + len(fresh) > 2 * EXACT:
            self.counts = None
            return None
        for value, times in zip(names, found.field("counts").to_pylist(), strict=True):
            self.counts[value] += times
        return None

    def keep(self, sampled: pa.Array) -> pa.Array:
        """The beginning is enough."""
        return pc.utf8_slice_codeunits(sampled, 0, HEAD)

    def describe(self) -> dict[str, object]:
        """The fields of categories."""
        if self.counts is not None:
            return {"values": top(self.counts)}
        return {"values": self.scaled(Counter(self.sample.drop_null().to_pylist()))}


class Booleans(Categories):
    """Values `true` and `false`."""

    kind: Kind = "boolean"


class Datetimes(Accumulator):
    """First and last moment exactly; hours and weekdays of the sample."""

    kind: Kind = "datetime"
    stored = MOMENT

    def __init__(self, arrow: pa.DataType, zone: str) -> None:
        super().__init__(arrow, zone)
        self.low: int | None = None
        self.high: int | None = None

    def count(self, values: pa.Array) -> None:
        """Take all values of a batch in."""
        self.sketch.add(values)
        found = pc.min_max(values.cast(pa.int64())).as_py()
        if found["min"] is not None:
            self.low = found["min"] if self.low is None else min(self.low, found["min"])
            self.high = found["max"] if self.high is None else max(self.high, found["max"])

    def describe(self) -> dict[str, object]:
        """The fields of moments."""
        local = self.sample.drop_null().cast(pa.timestamp("us", self.zone))
        return {
            "hours": self.scaled_bins(pc.hour(local), 24),
            "weekdays": self.scaled_bins(pc.day_of_week(local), 7),
            "first": _moment(self.low),
            "last": _moment(self.high),
        }

    def minutes_until(self, other: "Datetimes") -> tuple[float, ...] | None:
        """How many minutes the other moments come after these, at the shares of GRID; None when no row has both."""
        gaps = pc.subtract(other.sample.cast(pa.int64()), self.sample.cast(pa.int64())).drop_null()
        found = np.asarray(gaps.to_numpy(), np.float64) / MINUTE
        return tuple(np.quantile(found, GRID, method="inverted_cdf").tolist()) if len(found) else None


class Texts(Accumulator):
    """Lengths, marks and forms of a sample; what the texts say is not kept."""

    kind: Kind = "text"
    stored = pa.string()

    def __init__(self, arrow: pa.DataType, zone: str) -> None:
        super().__init__(arrow, zone)
        self.sizes: pa.Array = pa.array([], pa.int32())

    def count(self, values: pa.Array) -> None:
        """Take all values of a batch in."""
        self.sketch.add(values)

    def keep(self, sampled: pa.Array) -> pa.Array:
        """The length and the beginning."""
        self.sizes = pa.concat_arrays([self.sizes, pc.utf8_length(sampled).cast(pa.int32())])
        return pc.utf8_slice_codeunits(sampled, 0, HEAD)

    def thin(self, keep: pa.Array) -> None:
        """Leave part of the sample."""
        super().thin(keep)
        self.sizes = self.sizes.filter(keep)

    def describe(self) -> dict[str, object]:
        """The fields of texts."""
        heads, sizes = self.sample.drop_null(), self.sizes.drop_null().to_numpy()
        if len(heads) == 0:
            return {}
        return {
            "lengths": tuple(np.quantile(sizes, GRID, method="inverted_cdf").astype(float).tolist()),
            "marks": texts.marks(heads),
            "shapes": self._shapes(heads),
        }

    def _shapes(self, heads: pa.Array) -> dict[str, int]:
        """Forms of evenly spaced ones of the sample, as counts of all rows."""
        step = -(-len(heads) // MOST_SHAPED)
        looked_at = heads.take(pa.array(np.arange(0, len(heads), step)))
        found = texts.shapes(looked_at)
        return self.scaled({form: count * len(heads) / len(looked_at) for form, count in found.items()}, texts.SHAPES)


ACCUMULATORS: dict[str, type[Accumulator]] = {
    "number": Numbers,
    "category": Categories,
    "zip": Categories,
    "boolean": Booleans,
    "datetime": Datetimes,
    "text": Texts,
    "key": Texts,
}


def _moment(microseconds: int | None) -> datetime | None:
    """As a datetime, cut to the years that Python knows."""
    if microseconds is None:
        return None
    earliest = -62_135_596_800_000_000  # year 1
    return EPOCH + timedelta(microseconds=min(max(microseconds, earliest), LATEST))
