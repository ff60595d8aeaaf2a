"""The encoder over Arrow columns: many rows at once and without TensorFlow, packed as the graph of the exported model does."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ml.features.encoder import LARGEST
from ml.features.fit import MISSING, local_moments, numbers, words

Ints = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float32]
CHUNK = 65_536  # texts split into words at once
DAY, NO_TIME = 86_400, 1440  # seconds; the minute of a day that is missing
THURSDAY = 3  # 1 January 1970, in days after a Monday
ANGLES = np.arange(NO_TIME, dtype=np.float32) * np.float32(2 * np.pi / NO_TIME)
CLOCK = np.vstack([np.stack([np.sin(ANGLES), np.cos(ANGLES), 0 * ANGLES], 1), [[0, 0, 1]]]).astype(np.float32)


def encode(rows: pa.Table, plan: Mapping[str, Any]) -> dict[str, npt.NDArray[Any]]:
    """Raw columns to `categories` int32 (n, c), `numbers` float32 (n, m), `tokens` int32 (n, t), see `encoder.build`.

    Args:
        plan: from `layout`.
    """
    size, widths = rows.num_rows, plan["widths"]
    categories = np.empty((size, widths["categories"]), np.int32)
    scaled = np.empty((size, widths["numbers"]), np.float32)
    for one in plan["categories"]:
        categories[:, one["place"]] = _category(rows[one["name"]], one)
    for one in plan["numbers"]:
        scaled[:, one["place"] : one["place"] + 2] = _number(numbers(rows[one["name"]]), one)
    for one in plan["times"]:
        calendar, clock = _time(rows[one["name"]], plan["timezone"])
        categories[:, one["place"] : one["place"] + 2] = calendar + np.array([one["first"], one["first"] + 8], np.int32)
        scaled[:, one["number"] : one["number"] + 3] = clock
    texts = [_text(rows[one["name"]], one) for one in plan["texts"]] or [np.zeros((size, 0), np.int32)]
    return {"categories": categories, "numbers": scaled, "tokens": np.concatenate(texts, 1)}


def _category(column: pa.ChunkedArray, plan: Mapping[str, Any]) -> Ints:
    """Index of every value, one before the vocabulary's when it is not in there."""
    values = column.cast(pa.string()).fill_null(MISSING).cast(pa.binary())
    if plan["bytes"] is not None:
        values = pc.binary_slice(values, 0, plan["bytes"])
    known = pa.array([word.encode() for word in plan["vocabulary"]], pa.binary())
    found: Ints = pc.index_in(values, value_set=known).fill_null(-1).to_numpy()
    return found + np.int32(plan["first"])


def _number(values: Floats, plan: Mapping[str, Any]) -> Floats:
    """Standardised values beside a flag of what is missing, shape (n, 2).

    All in float32, with the factor that TensorFlow makes of the division by a constant: the bits are those of the graph.
    """
    missing = ~np.isfinite(values)
    filled = np.where(missing, np.float32(plan["median"]), values)
    standard = (filled - np.float32(plan["mean"])) * (np.float32(1) / np.float32(plan["deviation"]))
    return np.stack([np.clip(standard, -LARGEST, LARGEST), missing.astype(np.float32)], 1)


def _time(column: pa.ChunkedArray, timezone: str) -> tuple[Ints, Floats]:
    """Weekday and hour, shape (n, 2), and the place on the clock with a flag of what is missing, shape (n, 3)."""
    moments, places = local_moments(column, timezone)
    seconds = moments.cast(pa.int64()).to_numpy()
    days, rest = np.divmod(seconds, DAY)
    calendar = np.stack([(days + THURSDAY) % 7 + 1, rest // 3600 + 1], 1).astype(np.int32)
    taken = places.fill_null(len(seconds)).to_numpy()
    minutes = np.append(rest // 60, NO_TIME)[taken]
    return np.vstack([calendar, np.zeros((1, 2), np.int32)])[taken], CLOCK[minutes]


def _text(column: pa.ChunkedArray, plan: Mapping[str, Any]) -> Ints:
    """Word indices, shape (n, length): 0 is padding, 1 a word that is not in the vocabulary."""
    known, out = pa.array(plan["vocabulary"], pa.string()), np.zeros((len(column), plan["length"]), np.int32)
    texts = column.cast(pa.string()).fill_null(MISSING)
    for start in range(0, len(column), CHUNK):
        split = words(texts.slice(start, CHUNK).combine_chunks())
        found = pc.index_in(split.flatten(), value_set=known).fill_null(-plan["first"] + 1).to_numpy() + plan["first"]
        lengths = pc.list_value_length(split).to_numpy()
        rows = np.repeat(np.arange(len(lengths)), lengths)
        order = np.arange(len(rows)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        kept = order < plan["length"]
        out[start + rows[kept], order[kept]] = found[kept]
    return out
