"""The encoder as a TensorFlow graph: raw columns in, packed arrays out; it travels inside the exported model."""

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ml.features.fit import MISSING, NUMERIC, WORD_BREAK, Encoding, Statistics

if TYPE_CHECKING:
    import tensorflow as tf

CHUNK = 16_384  # rows encoded at once
LARGEST = 8.0  # standardised numbers are cut here: one absurd value must not drown a row
SPECIAL = 2  # indices before a vocabulary: 0 unseen, 1 missing


def sizes(encoding: Encoding) -> dict[str, Any]:
    """Widths of the packed arrays and how many indices they use.

    Returns: `categories` and `numbers` columns, `tokens` words per row, `category_values` and `token_values` indices;
        `category_sizes`, a list: how many of the indices each of the category columns uses.
    """
    kinds = [feature.type for feature in encoding.features.values()]
    vocabularies = [size for name in encoding.features for size in _vocabularies(encoding, name)]
    return {
        "categories": len(vocabularies),
        "numbers": 2 * sum(kind in NUMERIC for kind in kinds) + 3 * kinds.count("datetime"),
        "tokens": sum(feature.tokens for feature in encoding.features.values() if feature.type == "text"),
        "category_values": sum(vocabularies),
        "category_sizes": vocabularies,
        "token_values": SPECIAL
        + sum(len(encoding.statistics[n].vocabulary) for n, f in encoding.features.items() if f.type == "text"),
    }


def _vocabularies(encoding: Encoding, name: str) -> list[int]:
    """How many indices each category column of a feature uses."""
    kind = encoding.features[name].type
    if kind == "datetime":
        return [8, 25]  # weekday and hour, each with one for missing
    return [SPECIAL + len(encoding.statistics[name].vocabulary)] if kind in ("category", "zip") else []


def places(encoding: Encoding) -> dict[str, dict[str, slice]]:
    """Which columns of which packed array a feature fills: {"sched_dep": {"categories": slice(3, 5), ...}, ...}."""
    found: dict[str, dict[str, slice]] = {}
    used = {"categories": 0, "numbers": 0, "tokens": 0}
    for name, feature in encoding.features.items():
        text = feature.type == "text"
        numbers = 2 if feature.type in NUMERIC else 3 if feature.type == "datetime" else 0
        width = {
            "categories": len(_vocabularies(encoding, name)),
            "numbers": numbers,
            "tokens": feature.tokens if text else 0,
        }
        found[name] = {kind: slice(used[kind], used[kind] + size) for kind, size in width.items() if size}
        used = {kind: used[kind] + size for kind, size in width.items()}
    return found


def values(encoding: Encoding) -> list[tuple[str, ...]]:
    """What every index of the category table stands for, in order."""
    found: list[tuple[str, ...]] = []
    for name in encoding.features:
        if encoding.features[name].type == "datetime":
            found += [(name, "weekday", str(day)) for day in range(8)] + [(name, "hour", str(hour)) for hour in range(25)]
        elif _vocabularies(encoding, name):
            found += [(name, "unseen"), (name, "missing")]
            found += [(name, "value", value) for value in encoding.statistics[name].vocabulary]
    return found


def words(encoding: Encoding) -> list[tuple[str, ...]]:
    """What every index of the word table stands for, in order."""
    texts = [name for name, feature in encoding.features.items() if feature.type == "text"]
    known = [(name, word) for name in texts for word in encoding.statistics[name].vocabulary]
    return [("padding",), ("unseen",), *known]


def build(encoding: Encoding) -> "tf.Module":
    """A callable module: dict of raw columns, each shape (n,), to dict of packed arrays.

    Returns: `categories` int32 (n, c) in one shared index space, `numbers` float32 (n, m): standardised value and
        missing flag by turns, `tokens` int32 (n, t): 0 is padding.
    """
    import tensorflow as tf

    class Encoder(tf.Module):  # type: ignore[misc]  # tensorflow ships no types
        def __init__(self) -> None:
            super().__init__(name="encoder")
            self.tables = {
                name: _table(statistics.vocabulary)
                for name, statistics in encoding.statistics.items()
                if encoding.features[name].type in ("category", "zip", "text")
            }

        def __call__(self, raw: dict[str, Any]) -> dict[str, Any]:
            categories, numbers, tokens, offset, word_offset = [], [], [], 0, 0
            for name, feature in encoding.features.items():
                column, statistics = raw[name], encoding.statistics[name]
                if feature.type in NUMERIC:
                    numbers += _number(column, statistics)
                elif feature.type == "datetime":
                    weekday, hour, position = _datetime(column)
                    categories += [weekday + offset, hour + offset + 8]
                    numbers += position
                elif feature.type == "text":
                    tokens.append(_tokens(column, self.tables[name], feature.tokens, word_offset))
                    word_offset += len(statistics.vocabulary)
                else:
                    values = tf.strings.substr(column, 0, feature.prefix) if feature.type == "zip" else column
                    categories.append(_index(values, self.tables[name]) + offset)
                offset += sum(_vocabularies(encoding, name))
            empty = tf.shape(next(iter(raw.values())))[0]
            return {
                "categories": tf.stack(categories, 1) if categories else tf.zeros((empty, 0), tf.int32),
                "numbers": tf.stack(numbers, 1) if numbers else tf.zeros((empty, 0), tf.float32),
                "tokens": tf.concat(tokens, 1) if tokens else tf.zeros((empty, 0), tf.int32),
            }

    return Encoder()


def encode(module: "tf.Module", raw: dict[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
    """Run the encoder over many rows in few big calls, outside any model."""
    import tensorflow as tf

    call = tf.function(module, reduce_retracing=True)
    size = len(next(iter(raw.values())))
    parts = []
    for start in range(0, size, CHUNK):
        piece = {name: tf.constant(column[start : start + CHUNK]) for name, column in raw.items()}
        parts.append({name: packed.numpy() for name, packed in call(piece).items()})
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _table(vocabulary: tuple[str, ...]) -> Any:
    import tensorflow as tf

    keys = tf.constant([MISSING, *vocabulary])
    indices = tf.range(1, len(vocabulary) + 2)
    return tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(keys, indices), default_value=0)


def _index(column: Any, table: Any) -> Any:
    return table.lookup(column)


def _number(column: Any, statistics: Statistics) -> list[Any]:
    import tensorflow as tf

    missing = tf.logical_not(tf.math.is_finite(column))
    filled = tf.where(missing, tf.fill(tf.shape(column), np.float32(statistics.median)), column)
    standard = (filled - np.float32(statistics.mean)) / np.float32(statistics.deviation)
    return [tf.clip_by_value(standard, -LARGEST, LARGEST), tf.cast(missing, tf.float32)]


def _datetime(column: Any) -> tuple[Any, Any, list[Any]]:
    """Weekday 1..7 from Monday, hour 1..24 (0 is missing), and the minute of the day on a circle with a missing flag."""
    import tensorflow as tf

    known = tf.strings.length(column) >= 16
    text = tf.where(known, column, tf.fill(tf.shape(column), "1970-01-01T00:00:00"))

    def part(start: int, length: int) -> Any:
        return tf.strings.to_number(tf.strings.substr(text, start, length), tf.int32)

    year, month, day, hour, minute = part(0, 4), part(5, 2), part(8, 2), part(11, 2), part(14, 2)
    shifted = tf.where(month < 3, year - 1, year)  # Sakamoto's rule: January and February belong to the year before
    monthly = tf.gather(tf.constant([0, 3, 2, 5, 0, 3, 5, 1, 4, 6, 2, 4]), month - 1)
    weekday = (shifted + shifted // 4 - shifted // 100 + shifted // 400 + monthly + day + 6) % 7 + 1
    angle = tf.cast(hour * 60 + minute, tf.float32) * np.float32(2 * np.pi / 1440)
    flag = tf.cast(known, tf.int32)
    present = tf.cast(known, tf.float32)
    return weekday * flag, (hour + 1) * flag, [tf.sin(angle) * present, tf.cos(angle) * present, 1 - present]


def _tokens(column: Any, table: Any, length: int, offset: int) -> Any:
    """Word indices: 0 padding, 1 a word that is not in the vocabulary, then the vocabulary, behind that of earlier texts."""
    import tensorflow as tf

    clean = tf.strings.strip(tf.strings.regex_replace(tf.strings.lower(column), WORD_BREAK, " "))
    ragged = tf.strings.split(clean, " ")[:, :length]

    def index(flat: Any) -> Any:
        found = table.lookup(flat)
        return tf.where(found < SPECIAL, 1, found + offset)

    indices = tf.ragged.map_flat_values(index, ragged)
    return tf.cast(indices.to_tensor(shape=[None, length]), tf.int32)
