"""A column in cells: numbers by quantiles, moments by the hour, values by frequency; what every chart and check counts in."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ml.problem import FeatureType

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
MISSING, REST = "missing", "all others"
WORD = "[A-Za-z0-9]+"
TEXT_CHARACTERS = 40  # a string column whose values are longer than this on average, and rarely repeat, is text


@dataclass(frozen=True)
class Column:
    """One column of the sample, shape (n,). `declared`: it is a feature of the problem."""

    name: str
    kind: FeatureType
    values: pa.Array
    declared: bool = True
    unit: str = ""

    @property
    def missing(self) -> Bools:
        """Null, NaN, or the empty string: what the model takes as missing."""
        empty = self.values.is_null(nan_is_null=True)
        if pa.types.is_string(self.values.type):
            empty = pc.or_(empty, pc.fill_null(pc.equal(self.values, ""), True))
        return np.asarray(empty.to_numpy(zero_copy_only=False), bool)

    def taken(self, rows: npt.NDArray[np.bool_] | Ints) -> "Column":
        """The column of some rows."""
        places = np.flatnonzero(rows) if rows.dtype == bool else rows
        return Column(self.name, self.kind, self.values.take(pa.array(places)), self.declared, self.unit)


@dataclass(frozen=True)
class Cells:
    """`codes` holds for each row the place of its cell in `names`, shape (n,); missing rows have the last cell."""

    names: tuple[str, ...]
    codes: Ints


def kind_of(values: pa.ChunkedArray | pa.Array) -> FeatureType | None:
    """What an undeclared column holds, None for lists and the like."""
    held = values.type
    if pa.types.is_boolean(held):
        return "boolean"
    if pa.types.is_integer(held) or pa.types.is_floating(held) or pa.types.is_decimal(held):
        return "number"
    if pa.types.is_timestamp(held) or pa.types.is_date(held):
        return "datetime"
    if not (pa.types.is_string(held) or pa.types.is_large_string(held) or pa.types.is_dictionary(held)):
        return None
    texts = values.cast(pa.string()).drop_null()
    long = len(texts) > 0 and (pc.mean(pc.utf8_length(texts)).as_py() or 0) > TEXT_CHARACTERS
    return "text" if long and pc.count_distinct(texts).as_py() > len(texts) / 2 else "category"


def numbers(column: Column) -> Floats:
    """Values as numbers, NaN where missing: words of a text, the hour of a moment in the zone it was given in."""
    if column.kind == "text":
        counted = pc.count_substring_regex(column.values.cast(pa.string()), WORD).cast(pa.float64())
        return np.where(column.missing, np.nan, np.asarray(counted.fill_null(0).to_numpy(), np.float64))
    if column.kind == "datetime":
        return np.asarray(pc.hour(column.values).cast(pa.float64()).fill_null(np.nan).to_numpy(), np.float64)
    wide = column.values.cast(pa.int8()) if column.kind == "boolean" else column.values
    return np.asarray(wide.cast(pa.float64()).fill_null(np.nan).to_numpy(), np.float64)


def cells(column: Column, most: int = 10) -> Cells:
    """The column in at most `most` cells, and one for missing values."""
    if column.kind in ("number", "text"):
        return number_cells(numbers(column), most)
    if column.kind == "datetime":
        hours = numbers(column)
        return Cells((*(f"{hour:02d} h" for hour in range(24)), MISSING), _coded(hours, 24))
    return value_cells(column, most)


def number_cells(values: Floats, most: int) -> Cells:
    """Cells of about equal count; a value that fills several of them has one of its own.

    Args:
        values: shape (n,), NaN is missing; infinities lie in the outermost cells.
    """
    finite = np.unique(values[np.isfinite(values)])
    if len(finite) == 0:
        return Cells(("any value", MISSING), np.isnan(values).astype(np.int64))
    if len(finite) <= most:
        places = np.clip(np.searchsorted(finite, values), 0, len(finite) - 1)
        codes = np.where(np.isnan(values), len(finite), places)
        return Cells((*(f"{value:.6g}" for value in finite), MISSING), codes.astype(np.int64))
    quantiles = np.quantile(values[np.isfinite(values)], np.linspace(0, 1, most + 1), method="inverted_cdf")
    held, times = np.unique(quantiles, return_counts=True)
    heavy = held[times > 1]
    edges = np.unique(np.concatenate([quantiles[1:-1], heavy, np.nextafter(heavy, np.inf)]))
    edges = edges[(edges > finite[0]) & (edges <= finite[-1])]  # cells are [low, high)
    after = dict(zip(np.nextafter(heavy, np.inf).tolist(), heavy.tolist(), strict=True))  # an edge just above such a value
    names = [_between(low, high, after.get(low)) for low, high in zip([-np.inf, *edges], [*edges, np.inf], strict=True)]
    if len(edges) and edges[0] == np.nextafter(finite[0], np.inf):
        names[0] = f"{finite[0]:.4g}"
    codes = np.where(np.isnan(values), len(names), np.searchsorted(edges, values, side="right"))
    return Cells((*names, MISSING), codes.astype(np.int64))


def _between(low: float, high: float, above: float | None) -> str:
    if above is not None:
        return f"above {above:.4g}" + ("" if np.isinf(high) else f" to {high:.4g}")
    if high == np.nextafter(low, np.inf):
        return f"{low:.4g}"
    if np.isinf(low):
        return f"below {high:.4g}"
    return f"from {low:.4g}" if np.isinf(high) else f"{low:.4g} to {high:.4g}"


def value_cells(column: Column, most: int) -> Cells:
    """The most frequent values one by one (ties by name), the rest together."""
    texts = column.values.cast(pa.string())
    texts = pc.if_else(pa.array(~column.missing), texts, pa.scalar(None, pa.string()))
    coded = texts.dictionary_encode()
    values = np.asarray(coded.dictionary.to_pylist(), dtype=object)
    codes = coded.indices.fill_null(-1).to_numpy().astype(np.int64)
    counts = np.bincount(codes[codes >= 0], minlength=len(values))
    order = sorted(range(len(values)), key=lambda place: (-counts[place], values[place]))
    kept = order[:most] if len(order) > most + 1 else order  # a rest of one value is that value
    place = np.full(len(values) + 1, len(kept), dtype=np.int64)  # the rest
    place[kept] = np.arange(len(kept))
    rest = [REST] if len(kept) < len(values) else []
    place[-1] = len(kept) + len(rest)
    return Cells((*(str(values[one]) for one in kept), *rest, MISSING), place[codes])


def _coded(values: Floats, missing: int) -> Ints:
    return np.where(np.isnan(values), missing, np.nan_to_num(values)).astype(np.int64)
