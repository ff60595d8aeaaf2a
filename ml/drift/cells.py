"""Two samples of one column, counted in cells that the reference defines; missing values have a cell of their own."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ml.problem import Feature

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
MISSING, RARE, UNSEEN = "missing", "rare", "unseen"
BINS = 10  # deciles: a shift of one standard deviation has distance 0.4, and 200 rows still fill every bin
EXPECTED = 5  # fewest expected rows of a cell in a chi-square test (Cochran 1954, Biometrics 10, 417-451)
WORD = "[A-Za-z0-9]+"


@dataclass(frozen=True)
class Cells:
    """Two samples in the same cells: `reference` and `current` hold a cell number per row, shapes (n,) and (m,)."""

    names: tuple[str, ...]
    reference: Ints
    current: Ints

    @property
    def counts(self) -> Ints:
        """Rows per cell, shape (2, cells): reference, then current."""
        return np.stack([np.bincount(codes, minlength=len(self.names)) for codes in (self.reference, self.current)])

    def share(self, name: str) -> float:
        """Share of the current rows in a cell, 0 for a cell that is not there."""
        if name not in self.names or len(self.current) == 0:
            return 0.0
        return float((self.current == self.names.index(name)).mean())


def cells(reference: pa.ChunkedArray, current: pa.ChunkedArray, feature: Feature, *, timezone: str) -> Cells:
    """Cut one column into cells that the reference defines; missing values have a cell of their own.

    Numbers go by the reference's deciles, texts by their number of words, moments by the hour of the day in `timezone`
    (a later date is no drift: every request is later than the training rows), the rest by value.
    """
    kind = feature.type
    if kind in ("number", "text"):
        return number_cells(_numbers(reference, kind), _numbers(current, kind))
    return _value_cells(_values(reference, feature, timezone), _values(current, feature, timezone))


def number_cells(reference: Floats, current: Floats) -> Cells:
    """Cells of two samples of numbers by the reference's deciles; a value that fills a whole decile gets its own cell.

    Args:
        reference: shape (n,); NaN is missing, infinities count in the outermost cells.
        current: shape (m,).
    """
    edges = _edges(reference[np.isfinite(reference)])
    names = (*_interval_names(edges), MISSING)
    return Cells(names, _number_codes(reference, edges), _number_codes(current, edges))


def unseen(reference: pa.ChunkedArray, current: pa.ChunkedArray, feature: Feature, *, timezone: str, most: int = 3) -> list[str]:
    """The most frequent current values that the reference never held, as the cells see them (a zip by its prefix)."""
    values, known = (_values(column, feature, timezone).drop_null() for column in (current, reference))
    new = values.filter(pc.invert(pc.is_in(values, known))).value_counts()
    order = np.argsort(-np.asarray(new.field("counts"), np.int64), kind="stable")[:most]
    return [str(value) for value in new.field("values").take(pa.array(order)).to_pylist()]


def _numbers(column: pa.ChunkedArray, kind: str) -> Floats:
    """Numbers of a column, of words for texts; NaN where missing."""
    values = column
    if kind == "text":
        texts = column.cast(pa.string())
        values = pc.if_else(pc.equal(texts, ""), pa.scalar(None, pa.int32()), pc.count_substring_regex(texts, WORD))
    return np.asarray(values.cast(pa.float64()).fill_null(float("nan")).to_numpy(), np.float64)


def _edges(known: Floats) -> Floats:
    """Inner cuts between deciles; a value that is several deciles at once is cut off on both sides."""
    if len(known) == 0:
        return np.zeros(0)
    quantiles = np.quantile(known, np.linspace(0, 1, BINS + 1), method="inverted_cdf")
    values, times = np.unique(quantiles, return_counts=True)
    repeated = values[times > 1]
    inner = values[(values > quantiles[0]) & (values < quantiles[-1])]
    return np.unique(np.concatenate([inner, repeated, np.nextafter(repeated, np.inf)]))


def _interval_names(edges: Floats) -> list[str]:
    """Names of the cells that `edges` leave, in order and distinct; fewest digits that keep them apart."""
    if len(edges) == 0:
        return ["any value"]
    for digits in (4, 8, 17):
        texts = [f"{edge:.{digits}g}" for edge in edges]
        pairs = zip(edges[:-1], edges[1:], texts[:-1], texts[1:], strict=True)
        inner = [low if right == np.nextafter(left, np.inf) else f"{low} to {high}" for left, right, low, high in pairs]
        names = [f"below {texts[0]}", *inner, f"from {texts[-1]}"]
        if len(set(names)) == len(names):
            break
    return names


def _number_codes(values: Floats, edges: Floats) -> Ints:
    codes = np.searchsorted(edges, values, side="right")
    return np.where(np.isnan(values), len(edges) + 1, codes).astype(np.int64)


def _values(column: pa.ChunkedArray, feature: Feature, timezone: str) -> pa.Array:
    """Values of a column as strings, null where missing; the model, too, takes an empty string as missing."""
    if feature.type == "datetime":
        moments = column.cast(pa.timestamp("s", "UTC"), safe=False).cast(pa.timestamp("s", timezone))
        return _whole(pc.strftime(moments, "%H h"))
    texts = _whole(column).cast(pa.string())
    if feature.type == "zip":
        texts = pc.utf8_slice_codeunits(texts, 0, feature.prefix)
    return pc.if_else(pc.equal(texts, ""), pa.scalar(None, pa.string()), texts)


def _whole(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _value_cells(reference: pa.Array, current: pa.Array) -> Cells:
    """Cells of two samples of strings: frequent values one by one, then the rare, the unseen and the missing ones.

    A value is rare when the smaller sample would be expected to hold fewer than five of it: alone it could prove
    nothing, and hundreds of such cells would add up to a distance out of pure chance. A reference row is unseen when no
    other reference row has its value: where values have a long tail some new ones are normal, and the share of values
    met once estimates how many (Good 1953, Biometrika 40, 237-264). Counted as none, every such column drifts for ever.
    """
    seen = reference.drop_null().value_counts()
    values, counts = seen.field("values"), np.asarray(seen.field("counts"), np.int64)
    both = counts + _times(current, values)  # by both samples: chosen by the reference alone, thin cells favour it
    sizes = len(reference), len(current)
    order = np.argsort(-counts, kind="stable")
    enough = (both * (min(sizes) / max(sum(sizes), 1)) >= EXPECTED) & (counts > 1)
    frequent = values.take(pa.array(order[enough[order]]))
    names = (*(_distinct(name) for name in frequent.to_pylist()), RARE, UNSEEN, MISSING)
    repeated = values.filter(pa.array(counts > 1))
    return Cells(names, _value_codes(reference, frequent, repeated), _value_codes(current, frequent, values))


def _times(column: pa.Array, values: pa.Array) -> Ints:
    """How often each of some distinct values occurs in a column, shape (values,)."""
    places = pc.index_in(column, values, skip_nulls=True).drop_null().to_numpy(zero_copy_only=False)
    return np.bincount(places, minlength=len(values))


def _distinct(name: str) -> str:
    """A value that reads like one of our own cells must not fall together with it."""
    return f"{name!r}" if name in (RARE, UNSEEN, MISSING) else name


def _value_codes(column: pa.Array, frequent: pa.Array, seen: pa.Array) -> Ints:
    places = pc.index_in(column, frequent, skip_nulls=True).fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    known = pc.is_in(column, seen, skip_nulls=True).to_numpy(zero_copy_only=False)
    missing = column.is_null().to_numpy(zero_copy_only=False)
    rest = np.where(missing, len(frequent) + 2, np.where(known, len(frequent), len(frequent) + 1))
    return np.where(places >= 0, places, rest).astype(np.int64)
