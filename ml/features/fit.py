"""What an encoder knows: vocabularies and statistics, counted with Arrow on the training part."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

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
        return numbers(column)
    if kind == "datetime":
        moments, places = local_moments(column, timezone)
        column = pc.take(pc.strftime(moments, "%Y-%m-%dT%H:%M:%S"), places)
    return np.asarray(column.cast(pa.string()).fill_null(MISSING).to_numpy(zero_copy_only=False), dtype=object)


def numbers(column: pa.ChunkedArray) -> npt.NDArray[np.float32]:
    """Numbers or booleans as float32, shape (n,), NaN for missing ones."""
    plain = column.cast(pa.int8()) if pa.types.is_boolean(column.type) else column
    return np.asarray(plain.cast(pa.float32()).fill_null(float("nan")).to_numpy(), dtype=np.float32)


def local_moments(column: pa.ChunkedArray, timezone: str) -> tuple[pa.Array, pa.Array]:
    """Local times to the second, each once because many rows share one, and which of them every row has; null: none."""
    seconds = pc.floor_temporal(column.cast(pa.timestamp("us", "UTC"), safe=False), unit="second").cast(pa.timestamp("s", "UTC"))
    moments = seconds.combine_chunks().dictionary_encode()
    local = pc.local_timestamp(moments.dictionary.cast(pa.timestamp("s", timezone)))
    return _summer_after_2037(moments.dictionary, local, ZoneInfo(timezone)), moments.indices


def _summer_after_2037(moments: pa.Array, local: pa.Array, zone: ZoneInfo) -> pa.Array:
    """Arrow's time zones end with the tables of 2037, after which it knows no summer time; Python's rules go on to 9999."""
    late = pc.and_(pc.greater_equal(moments, _OF_2037), pc.less(moments, _OF_9999))
    if not pc.any(late).as_py():
        return local
    right = [moment.astimezone(zone).replace(tzinfo=None) for moment in moments.filter(late).to_pylist()]
    return pc.replace_with_mask(local, late, pa.array(right, pa.timestamp("s")))


_OF_2037, _OF_9999 = (pa.scalar(datetime(year, 1, 1, tzinfo=UTC), pa.timestamp("s", "UTC")) for year in (2037, 9999))


def words(texts: pa.Array) -> pa.ChunkedArray:
    """Lists of lower-case words, as the model's own text encoder splits them."""
    clean = pc.utf8_trim(pc.replace_substring_regex(pc.ascii_lower(texts), WORD_BREAK, " "), " ")
    return pc.split_pattern(clean, " ")


def _learn(name: str, feature: Feature, column: pa.ChunkedArray, timezone: str) -> Statistics:
    if feature.type == "number":
        values = numbers(column)
        known = values[np.isfinite(values)].astype(np.float64)
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
    """The leading characters of a postal code, missing where the cut would go through a character that is no ASCII."""
    return pc.if_else(pc.string_is_ascii(values), pc.utf8_slice_codeunits(values, 0, feature.prefix), MISSING)


def _frequent(values: pa.Array, feature: Feature) -> tuple[str, ...]:
    """The most frequent values but the missing one; rare ones teach what to make of a value never seen."""
    counts = values.filter(pc.not_equal(values, MISSING)).value_counts()
    table = pa.table({"value": counts.field("values"), "count": counts.field("counts")})
    table = table.filter(pc.greater_equal(table["count"], FEWEST))
    top = table.sort_by([("count", "descending"), ("value", "ascending")]).slice(0, feature.vocabulary)
    return tuple(top["value"].to_pylist())
