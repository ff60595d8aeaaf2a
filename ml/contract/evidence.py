"""A column of numbers before and now: how well a conversion explains it, by the quantiles and by the very values that occur."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from ml.contract.units import SAME, Conversion, Floats
from ml.profile import GRID, ColumnProfile

INNER = slice(GRID.index(0.05), GRID.index(0.95) + 1)
WIDE = slice(GRID.index(0.01), GRID.index(0.99) + 1)
MEDIAN = GRID.index(0.5)
DAYS, STEPS = 5, 5  # days needed to say that one is like another; different quantiles that make a shape
MANY = 4.0  # times, beyond the days recorded
POINTS = 2_000  # that a chance is measured with
UNROUNDED = 5  # a value with more decimals was not rounded by a person


@dataclass(frozen=True)
class Values:
    """The listed values of a column other than 0, and their share of all such values; 0 is 0 in every unit."""

    values: Floats
    counts: Floats
    coverage: float

    @property
    def num_rows(self) -> float:
        """How many rows hold one of them."""
        return float(self.counts.sum())


def listed(profile: ColumnProfile) -> Values:
    """The listed values of a number column."""
    pairs = np.array([(float(text), count) for text, count in profile.values.items()], np.float64).reshape(-1, 2)
    values, counts = pairs[pairs[:, 0] != 0].T
    held = profile.num_present - profile.num_nan - profile.num_inf - profile.num_zero
    return Values(values, counts, min(1.0, float(counts.sum()) / held) if held > 0 else 0.0)


@dataclass(frozen=True)
class Evidence:
    """Two states of one column; both have finite values."""

    recorded: ColumnProfile
    present: ColumnProfile

    @cached_property
    def before(self) -> Floats:
        """Recorded quantiles at the shares of GRID."""
        return np.asarray(self.recorded.quantiles, np.float64)

    @cached_property
    def now(self) -> Floats:
        """Present quantiles."""
        return np.asarray(self.present.quantiles, np.float64)

    @cached_property
    def values_before(self) -> Values:
        """Recorded values."""
        return listed(self.recorded)

    @cached_property
    def values_now(self) -> Values:
        """Present values."""
        return listed(self.present)

    @cached_property
    def new(self) -> npt.NDArray[np.bool_]:
        """Which of the present values were never recorded."""
        return ~_near(self.values_now.values, self.values_before.values, np.abs(self.values_now.values) * 1e-6)

    @cached_property
    def share_new(self) -> float:
        """Share of the present rows, other than 0, that hold one of them."""
        return float(self.values_now.counts[self.new].sum() / max(self.values_now.num_rows, 1.0))

    @cached_property
    def medians(self) -> tuple[float, float]:
        """Lowest and highest median of a recorded day."""
        return self.recorded.day_medians or (float(self.before[MEDIAN]), float(self.before[MEDIAN]))

    @cached_property
    def amounts(self) -> bool:
        """Whether hardly a number is negative: only of such columns one may say how many times as large they are."""
        return bool(self.before[INNER][0] >= 0 and self.now[INNER][0] >= 0)

    @cached_property
    def flippable(self) -> bool:
        """Whether the other sign would be strange: all recorded numbers have one, and no season takes them across 0."""
        nearest = min(abs(self.before[0]), abs(self.before[-1]))
        one_sign = self.before[0] * self.before[-1] > 0
        return self.steady or bool(one_sign and nearest >= abs(self.before[MEDIAN]) / 4)

    @cached_property
    def outside(self) -> bool:
        """Whether the median lies beyond all days recorded, by more than these lie apart, or many times."""
        (low, high), middle = self.medians, self.now[MEDIAN]
        many_times = self.amounts and low > 0 and not low / MANY <= middle <= high * MANY
        return bool(many_times or not low - (high - low) <= middle <= high + (high - low))

    @cached_property
    def steady(self) -> bool:
        """Whether one day is much like another: weather is not, fares and distances are. Only then the shape proves something."""
        if len(set(self.before)) < STEPS or self.recorded.num_zero > self.recorded.num_present / 2:
            return False
        low, high = self.medians
        return self.recorded.num_days >= DAYS and bool(high - low <= 0.2 * (self.before[-2] - self.before[1]))

    @cached_property
    def error_unconverted(self) -> float:
        """The error if nothing changed."""
        return self.error(SAME)

    def error(self, conversion: Conversion) -> float:
        """Mean distance of the quantiles (5 to 95 %), in units of the spread that the conversion promises; 0 is a perfect fit."""
        expected = conversion.apply(self.before)
        expected = expected[::-1] if conversion.factor < 0 else expected
        spread = float(expected[WIDE][-1] - expected[WIDE][0]) / 2
        if spread <= 0:
            return 0.0 if np.allclose(self.now[INNER], expected[INNER], rtol=1e-3) else np.inf
        return float(np.abs(self.now[INNER] - expected[INNER]).mean()) / spread

    def explained(self, conversion: Conversion) -> float:
        """Share of the new values that are a converted recorded value, beyond what chance would hit; 0 to 1."""
        values, counts = self.values_now.values[self.new], self.values_now.counts[self.new]
        if not len(values) or not len(self.values_before.values):
            return 0.0
        expected = conversion.apply(self.values_before.values)
        hit = float(counts[self._hit(values, expected)].sum() / counts.sum())
        low, high, step = float(values.min()), float(values.max()), self._step or 1e-12
        size = int(min((high - low) / step, POINTS))
        anywhere = np.round(np.linspace(low, high, size + 1) / step) * step
        chance = float(self._hit(anywhere, expected).mean())
        return max(0.0, (hit - chance) / (1 - chance)) if chance < 1 else 0.0

    def usual_again(self, conversion: Conversion) -> float:
        """Whether numbers converted back lie where they lay on some day; how near the median comes tells the factors apart."""
        back = (self.now - conversion.offset) / conversion.factor
        (low, high), middle = self.medians, self.before[MEDIAN]
        inside = self.before[0] <= back[INNER][0] and back[INNER][-1] <= self.before[-1]
        if not self.amounts or not inside or not low / 1.5 <= back[MEDIAN] <= 1.5 * high or min(back[MEDIAN], middle) <= 0:
            return 0.0
        return float(np.exp(-abs(np.log(back[MEDIAN] / middle))))

    def _hit(self, values: Floats, expected: Floats) -> npt.NDArray[np.bool_]:
        return _near(values, expected, np.maximum(np.abs(values) * 1e-4, 0.51 * self._step))

    @cached_property
    def _step(self) -> float:
        """The rounding of the present values: 1 for whole numbers, 0.01 for two decimals, 0 when they were not rounded."""
        texts = [f"{value:.12g}" for value in self.values_now.values]
        decimals = max((len(text.rpartition(".")[2]) if "." in text else 0 for text in texts), default=0)
        return 0.0 if decimals > UNROUNDED else 10.0**-decimals


def _near(values: Floats, others: Floats, tolerance: Floats) -> npt.NDArray[np.bool_]:
    """Which values have one of `others` within their tolerance."""
    if len(others) == 0:
        return np.zeros(len(values), np.bool_)
    others = np.sort(others)
    right = np.clip(np.searchsorted(others, values), 0, len(others) - 1)
    left = np.maximum(right - 1, 0)
    return np.asarray(np.minimum(np.abs(others[right] - values), np.abs(others[left] - values)) <= tolerance)
