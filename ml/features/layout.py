"""What an encoder does, spelled out: for the encoders that are no TensorFlow graph, in Python and in a browser."""

from typing import Any

from ml.features.encoder import SPECIAL, places, sizes
from ml.features.fit import MISSING, NUMERIC, Encoding


def layout(encoding: Encoding) -> dict[str, Any]:
    """Plain lists by kind of column, ready for `encoder.json`.

    Returns: `timezone`; `widths` of the packed arrays; in the order of the features `categories` (name, place in the array,
        bytes that are read or None for all, vocabulary with "" for missing before it), `times` (name, place, first, place of
        the numbers), `numbers` (name, place, median, mean, deviation) and `texts` (name, words read, vocabulary). A value's index
        is `first` and its place in the vocabulary; a category that is not there has first - 1, a word 1; 0 pads.
    """
    found: dict[str, list[dict[str, Any]]] = {"categories": [], "times": [], "numbers": [], "texts": []}
    where, values, words = places(encoding), 0, SPECIAL
    for name, feature in encoding.features.items():
        place, learned = {kind: part.start for kind, part in where[name].items()}, encoding.statistics[name]
        if feature.type == "datetime":
            told = {"name": name, "place": place["categories"], "first": values, "number": place["numbers"]}
            found["times"].append(told)
            values += 8 + 25
        elif feature.type in NUMERIC:
            known = learned.model_dump(include={"median", "mean", "deviation"})
            found["numbers"].append({"name": name, "place": place["numbers"]} | known)
        elif feature.type == "text":
            found["texts"].append(
                {"name": name, "length": feature.tokens, "first": words, "vocabulary": list(learned.vocabulary)}
            )
            words += len(learned.vocabulary)
        else:
            read = feature.prefix if feature.type == "zip" else None
            told = {"name": name, "place": place["categories"], "bytes": read, "first": values + 1}
            found["categories"].append(told | {"vocabulary": [MISSING, *learned.vocabulary]})
            values += SPECIAL + len(learned.vocabulary)
    widths = {kind: sizes(encoding)[kind] for kind in ("categories", "numbers", "tokens")}
    return {"timezone": encoding.timezone, "widths": widths} | found
