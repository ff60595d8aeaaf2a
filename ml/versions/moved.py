"""How far the values of each column moved between two batches: in numbers, and in words a person reads first. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice

import numpy as np
import pyarrow as pa

from ml import drift
from ml.drift import Cells
from ml.problem import Feature, FeatureType
from ml.profile import GRID, ColumnProfile, Profile, Profiler
from ml.versions.shapes import Histogram, Shares, cell_shares, histogram, value_shares

MOST = 20_000  # rows of a sample; a shift that these do not show is none
SMALL, MEDIUM, LARGE = 0.1, 0.2, 0.4  # Jensen-Shannon distance; a shift of one standard deviation is 0.4
CONFIDENCE = 0.99  # that a shift is no chance, over all columns together
TOLD = 3  # values named in a sentence


@dataclass
class Side:
    """One of the two batches: exact counts, and a sample of the rows for shapes. Fed table by table."""

    kinds: Mapping[str, FeatureType]
    zone: str
    sample: pa.Table | None = None
    _profiler: Profiler = field(init=False)
    _luck: np.ndarray = field(init=False)
    _random: np.random.Generator = field(init=False)

    def __post_init__(self) -> None:
        self._profiler = Profiler(self.kinds, self.zone)
        self._luck, self._random = np.zeros(0), np.random.default_rng(0)

    def add(self, rows: pa.Table) -> None:
        """Count rows, and keep those with the smallest random numbers."""
        held = rows.select([name for name in self.kinds if name in rows.column_names])
        self._profiler.add(held)
        both = held if self.sample is None else pa.concat_tables([self.sample, held])
        luck = np.concatenate([self._luck, self._random.random(held.num_rows)])
        if len(luck) > MOST:
            kept = np.sort(np.argpartition(luck, MOST)[:MOST])
            both, luck = both.take(pa.array(kept)), luck[kept]
        self.sample, self._luck = both, luck

    @property
    def profile(self) -> Profile:
        """Counts of all rows added so far."""
        return self._profiler.result()


@dataclass(frozen=True)
class Moved:
    """One column in two batches.

    Attributes:
        distance: Jensen-Shannon distance in shared cells, 0 to 1; missing values are a cell.
        moved: large enough to matter, and no chance.
        sentence: what moved, in words.
        new_values, gone_values: of a category, with their rows, when all its values are known.
        shares: of each value or hour before and after, where that can be drawn.
        histogram: of numbers and lengths.
    """

    column: str
    kind: str
    distance: float
    p_value: float
    moved: bool
    sentence: str
    null_shares: tuple[float, float]
    new_values: dict[str, int]
    gone_values: dict[str, int]
    shares: Shares
    histogram: Histogram | None

    @property
    def size(self) -> str:
        """The effect in a word."""
        return size(self.distance)


def size(distance: float) -> str:
    """A distance in a word."""
    steps = {"hardly any": SMALL, "small": MEDIUM, "medium": LARGE}
    return next((word for word, limit in steps.items() if distance < limit), "large")


def compare(before: Side, after: Side) -> list[Moved]:
    """Every column that both sides have, the furthest first; none when a side has no rows."""
    if before.sample is None or after.sample is None or not before.sample.num_rows or not after.sample.num_rows:
        return []
    old, new = before.profile, after.profile
    names = [name for name in before.kinds if name in old.columns and name in new.columns]
    level = (1 - CONFIDENCE) / max(len(names), 1)
    found = []
    for name in names:
        feature = Feature(type=before.kinds[name])
        samples = before.sample[name], after.sample[name]
        shared = drift.cells(*samples, feature, timezone=before.zone)
        found.append(_moved(name, shared, (old.columns[name], new.columns[name]), level, histogram(feature.type, *samples)))
    return sorted(found, key=lambda one: (not one.moved, -one.distance))


def _moved(
    name: str, shared: Cells, profiles: tuple[ColumnProfile, ColumnProfile], level: float, drawn: Histogram | None
) -> Moved:
    shift, (old, new) = drift.shift(shared), profiles
    whole = all(len(one.values) >= one.distinct for one in profiles)  # of more than 200 values nobody knows which are new
    listed = whole and old.kind == "category"
    fresh = {value: count for value, count in new.values.items() if value not in old.values} if listed else {}
    lost = {value: count for value, count in old.values.items() if value not in new.values} if listed else {}
    return Moved(
        column=name,
        kind=old.kind,
        distance=shift.distance,
        p_value=shift.p_value,
        moved=shift.exceeds(SMALL, level),
        sentence="; ".join(_told(old, new, fresh, lost)) or "as before",
        null_shares=(old.null_share, new.null_share),
        new_values=fresh,
        gone_values=lost,
        shares=value_shares(old, new) if whole and old.kind in ("category", "boolean") else cell_shares(shared),
        histogram=drawn,
    )


def _told(old: ColumnProfile, new: ColumnProfile, fresh: dict[str, int], lost: dict[str, int]) -> Iterator[str]:
    if abs(old.null_share - new.null_share) >= 0.001:
        yield f"missing in {old.null_share:.1%} before, {new.null_share:.1%} now"
    if old.kind == "number" and old.quantiles and new.quantiles:
        yield from _numbers(old.quantiles, new.quantiles)
    if old.kind in ("category", "boolean"):
        yield from _values(old, new)
    if old.kind == "text" and old.lengths and new.lengths and _middle(old.lengths) != _middle(new.lengths):
        yield f"{_middle(old.lengths):,.0f} characters in the median before, {_middle(new.lengths):,.0f} now"
    if old.kind == "datetime" and old.hours and new.hours and max(old.hours) and max(new.hours):
        busiest = [max(range(24), key=one.__getitem__) for one in (old.hours, new.hours)]
        if busiest[0] != busiest[1]:
            yield f"most often at {busiest[0]} h before, {busiest[1]} h now"
    if fresh:
        yield f"new: {_listed(fresh, new.num_rows)}"
    if lost:
        yield f"gone: {_listed(lost, old.num_rows)}"


def _numbers(old: tuple[float, ...], new: tuple[float, ...]) -> Iterator[str]:
    """Median and the middle 90 %, each where it is another one."""
    if _middle(old) != _middle(new):
        ratio = _middle(new) / _middle(old) if _middle(old) else 0
        times = f" (times {ratio:.3g})" if ratio > 0 and not 0.8 < ratio < 1.25 else ""
        yield f"median {_number(_middle(old))} before, {_number(_middle(new))} now{times}"
    low, high = GRID.index(0.05), GRID.index(0.95)
    spans = [f"{_number(one[low])} to {_number(one[high])}" for one in (old, new)]
    if spans[0] != spans[1]:
        yield f"nine in ten from {spans[0]} before, from {spans[1]} now"


def _values(old: ColumnProfile, new: ColumnProfile) -> Iterator[str]:
    """The values whose share of the rows changed most, as the picture has them."""
    was, now = ({value: count / max(one.num_rows, 1) for value, count in one.values.items()} for one in (old, new))
    both = [value for value in was if value in now]
    changes = sorted(both, key=lambda value: -abs(now[value] - was[value]))
    for value in islice((value for value in changes if abs(now[value] - was[value]) >= 0.001), TOLD):
        yield f"{value} {was[value]:.1%} before, {now[value]:.1%} now"


def _listed(values: Mapping[str, int], num_rows: int) -> str:
    shown = [f"{value} ({count / max(num_rows, 1):.2%})" for value, count in islice(values.items(), TOLD)]
    more = len(values) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def _middle(grid: tuple[float, ...]) -> float:
    return grid[GRID.index(0.5)]


def _number(value: float) -> str:
    return f"{value:.4g}" if abs(value) < 10_000 else f"{value:,.0f}"
