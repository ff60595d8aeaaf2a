"""What a string looks like without saying what it says: its form, and marks of broken text."""

import pyarrow as pa
import pyarrow.compute as pc

FORMS = {r"[A-Z]+": "A", r"[a-z]+": "a", r"\d+": "9", r"[^\x00-\x7f]+": "?"}
SHAPED = 40  # a longer text has no form
SHAPES = 20
MARKS = {
    "html": r"&(amp|lt|gt|quot|nbsp|apos|#\d+);",
    "mojibake": "Ã[\u0080-\u00bf\u2013-\u2122\u0152-\u0178]|â[\u0080\u20ac]|Â[\u0080-\u00bf]|\ufffd",
}


def shapes(texts: pa.Array) -> dict[str, int]:
    """How many texts have which form: `2013-01-31 UA15 EWR` has `9-9-9 A9 A`. Long ones are left out."""
    forms = texts.filter(pc.less_equal(pc.utf8_length(texts), SHAPED))
    for pattern, sign in FORMS.items():
        forms = pc.replace_substring_regex(forms, pattern=pattern, replacement=sign)
    return {one["values"]: one["counts"] for one in forms.value_counts().to_pylist()}


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
