"""What a string looks like without saying what it says: its form, and marks of broken text."""

import re
from collections import Counter
from collections.abc import Iterable

import pyarrow as pa
import pyarrow.compute as pc

FORMS = (
    (re.compile(r"[A-Z]+"), "A"),
    (re.compile(r"[a-z]+"), "a"),
    (re.compile(r"\d+"), "9"),
    (re.compile(r"[^\x00-\x7f]+"), "?"),
)
SHAPED = 40  # a longer text has no form
SHAPES = 20
MARKS = {
    "html": r"&(amp|lt|gt|quot|nbsp|apos|#\d+);",
    "mojibake": "Ã[\u0080-\u00bf\u2013-\u2122\u0152-\u0178]|â[\u0080\u20ac]|Â[\u0080-\u00bf]|\ufffd",
}


def shape(text: str) -> str:
    """`2013-01-31 UA15 EWR` has the form `9-9-9 A9 A`."""
    for pattern, sign in FORMS:
        text = pattern.sub(sign, text)
    return text


def shapes(texts: Iterable[str]) -> Counter[str]:
    """How many texts have which form; long ones are left out."""
    return Counter(shape(text) for text in texts if len(text) <= SHAPED)


def marks(texts: pa.Array) -> dict[str, float]:
    """Shares of the texts that are empty, have spaces at an end, are all upper or lower case, or look broken."""
    if len(texts) == 0:
        return {}
    letters = pc.match_substring_regex(texts, r"\pL")
    found = {
        "empty": pc.equal(texts, ""),
        "padded": pc.not_equal(pc.utf8_trim_whitespace(texts), texts),
        "upper": pc.and_(letters, pc.equal(pc.utf8_upper(texts), texts)),
        "lower": pc.and_(letters, pc.equal(pc.utf8_lower(texts), texts)),
        **{name: pc.match_substring_regex(texts, pattern) for name, pattern in MARKS.items()},
    }
    return {name: pc.sum(where).as_py() / len(texts) for name, where in found.items()}
