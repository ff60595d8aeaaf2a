"""What an encoder knows: vocabularies and statistics, counted with Arrow on the training part."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict

from ml.errors import DataError
from ml.problem import Feature

MISSING = ""  # a missing string; it is a category of its own
WORD_BREAK = "[^a-z0-9]+"  # the same pattern splits words here and inside the model (both use RE2)
NUMERIC = ("number", "boolean")
FEWEST = 3  # a value seen less often in training shares the index of unseen ones, which would otherwise learn nothing


class Statistics(BaseModel):
    """What was learned of one column; the fields its type does not use stay empty."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    vocabulary: tuple[str, ...] = ()
    median: float = 0.0
    mean: float = 0.0
    deviation: float = 1.0


class Encoding(BaseModel):
    """Features in order, each with what was learned; enough to build the encoder again."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    features: dict[str, Feature]
    statistics: dict[str, Statistics]
    timezone: str


def fit(rows: pa.Table, features: Mapping[str, Feature], *, timezone: str) -> Encoding:
    """Learn vocabularies (most frequent first, ties by name) and number statistics.

    Args:
        rows: the training part only, raw columns.
    Raises: DataError: a number column is missing in every row.
    """
    statistics = {name: _learn(name, feature, rows[name], timezone) for name, feature in features.items()}
    return Encoding(features=dict(features), statistics=statistics, timezone=timezone)


def inputs(rows: pa.Table, features: Mapping[str, Feature], *, timezone: str) -> dict[str, npt.NDArray[Any]]:
    """Raw columns as the exported model takes them; training and serving both come through here.

    Returns: per feature an array of shape (n,): float32 with NaN for missing numbers and booleans, else str objects
        with '' for missing; datetimes as local time `2013-01-31T05:15:00`.
    """
    return {name: _input(rows[name], feature.type, timezone) for name, feature in features.items()}


def _input(column: pa.ChunkedArray, kind: str, timezone: str) -> npt.NDArray[Any]:
    if kind in NUMERIC:
        numbers = column.cast(pa.float32()) if kind == "number" else column.cast(pa.int8()).cast(pa.float32())
        return np.asarray(numbers.fill_null(float("nan")).to_numpy(), dtype=np.float32)
    if kind == "datetime":
        moments = column.cast(pa.timestamp("s", "UTC"), safe=False).combine_chunks().dictionary_encode()  # many rows share one
        local = pc.local_timestamp(moments.dictionary.cast(pa.timestamp("s", timezone)))
        column = pc.take(pc.strftime(local, "%Y-%m-%dT%H:%M:%S"), moments.indices)
    return np.asarray(column.cast(pa.string()).fill_null(MISSING).to_numpy(zero_copy_only=False), dtype=object)


def words(texts: pa.Array) -> pa.ChunkedArray:
    """Lists of lower-case words, as the model's own text encoder splits them."""
    clean = pc.utf8_trim(pc.replace_substring_regex(pc.ascii_lower(texts), WORD_BREAK, " "), " ")
    return pc.split_pattern(clean, " ")


def _learn(name: str, feature: Feature, column: pa.ChunkedArray, timezone: str) -> Statistics:
    if feature.type == "number":
        numbers = _input(column, feature.type, timezone)
        known = numbers[np.isfinite(numbers)].astype(np.float64)
        if len(known) == 0:
            raise DataError(
                f"Feature {name!r} has no value in any training row. Remove it from [features], or look why the source "
                "stopped filling it."
            )
        return Statistics(median=float(np.median(known)), mean=float(known.mean()), deviation=float(known.std()) or 1.0)
    if feature.type not in ("category", "zip", "text"):
        return Statistics()
    values = column.cast(pa.string()).fill_null(MISSING).combine_chunks()
    if feature.type != "text":
        return Statistics(vocabulary=_frequent(values if feature.type == "category" else zip_prefix(values, feature), feature))
    return Statistics(vocabulary=_frequent(words(values).flatten(), feature))


def zip_prefix(values: pa.Array, feature: Feature) -> pa.Array:
    """The leading characters of a postal code."""
    return pc.binary_slice(values.cast(pa.binary()), 0, feature.prefix).cast(pa.string())


def _frequent(values: pa.Array, feature: Feature) -> tuple[str, ...]:
    """The most frequent values but the missing one; rare ones teach what to make of a value never seen."""
    counts = values.filter(pc.not_equal(values, MISSING)).value_counts()
    table = pa.table({"value": counts.field("values"), "count": counts.field("counts")})
    table = table.filter(pc.greater_equal(table["count"], FEWEST))
    top = table.sort_by([("count", "descending"), ("value", "ascending")]).slice(0, feature.vocabulary)
    return tuple(top["value"].to_pylist())
