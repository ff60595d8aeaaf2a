"""From the bytes of a request to checked rows: quickly where all is well, carefully where something is to be told."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, cast

import msgspec
from pydantic_core import from_json

from ml.errors import DataError
from ml.problem import Feature

MAX_ROWS = 10_000
LARGEST = 1.7976931348623157e308
# a longer number is no name either, and is left to the careful way
KEY: Any = str | Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)] | None
KINDS: dict[str, Any] = {"number": float | None, "boolean": bool | None}  # every other kind is a text
_SHAPE = 'Send {"rows": [{column: value, ...}, ...]}; GET /problems/NAME shows an example.'


class TooLargeError(DataError):
    """More rows or bytes than one request may hold."""


@dataclass(frozen=True)
class Rows:
    """Rows of a request: what the client calls them, and their columns.

    `fit` is the columns of a model that the values are known to be right for; None when nobody has looked.
    """

    keys: list[str | None]
    columns: list[dict[str, Any]]
    fit: Mapping[str, Feature] | None = None


class Decoder:
    """Reads bodies for the columns of one model, several times faster than `parse` and the model's own check.

    What it accepts is what they accept, to the value. What it does not accept they have to judge, and say what is wrong.
    """

    def __init__(self, columns: Mapping[str, Feature]) -> None:
        self._columns = columns
        fields: list[Any] = [(f"c{place}", KINDS.get(feature.type, str | None)) for place, feature in enumerate(columns.values())]
        wire = {f"c{place}": name for place, name in enumerate(columns)}  # a column may have any name, a field may not
        row = msgspec.defstruct("Row", [*fields, ("key", KEY, None)], rename=wire, forbid_unknown_fields=True)
        several = Annotated[list[row], msgspec.Meta(min_length=1, max_length=MAX_ROWS)]  # type: ignore[valid-type]
        self._question = msgspec.json.Decoder(msgspec.defstruct("Question", [("rows", several)], forbid_unknown_fields=True))
        self._many = several
        self._moments = [place for place, feature in enumerate(columns.values()) if feature.type == "datetime"]
        self._numbers = [place for place, feature in enumerate(columns.values()) if feature.type == "number"]
        self._names = tuple(columns)

    def read(self, body: bytes) -> Rows | None:
        """The rows of a body; None when it needs a closer look."""
        if b"\\u0000" in body:
            return None
        try:
            found = [msgspec.structs.astuple(row) for row in cast(Any, self._question.decode(body)).rows]
        except (ValueError, RecursionError):  # what msgspec and the codecs raise are ValueErrors
            return None
        keys = [key if key is None or isinstance(key, str) else str(key) for *_, key in found]
        columns = [dict(zip(self._names, values, strict=False)) for values in found]  # the key stands last
        return Rows(keys, columns, self._columns) if self._timely(found) else None

    def fits(self, columns: Sequence[Mapping[str, Any]]) -> bool:
        """Whether rows that are Python objects already are right for the model."""
        try:
            rows = [msgspec.structs.astuple(row) for row in msgspec.convert(columns, self._many, strict=True)]
        except (ValueError, RecursionError):
            return False
        finite = all(math.isfinite(row[place] or 0) for place in self._numbers for row in rows)  # JSON has no others, Python has
        return finite and self._timely(rows) and not any("key" in row for row in columns)

    def _timely(self, rows: Sequence[tuple[Any, ...]]) -> bool:
        """Whether every time is one, with its offset."""
        try:
            return all(
                row[place] is None or datetime.fromisoformat(row[place]).tzinfo is not None
                for place in self._moments
                for row in rows
            )
        except ValueError:
            return False


def parse(body: bytes) -> Rows:
    """Rows and keys of a request body; whether they are right for a model is not looked at.

    Raises: DataError: not JSON, another shape, or a value that JSON allows and databases do not.
        TooLargeError: more than MAX_ROWS rows.
    """
    try:
        content = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise DataError(f"The body is not JSON: {error}. {_SHAPE}") from error
    if not isinstance(content, dict) or not isinstance(content.get("rows"), list) or len(content) > 1:
        raise DataError(f"The body holds no rows, or more than rows. {_SHAPE}")
    rows = content["rows"]
    if not rows:
        raise DataError(f"The request holds no row. {_SHAPE}")
    if len(rows) > MAX_ROWS:
        raise TooLargeError(f"The request holds {len(rows):,} rows; at most {MAX_ROWS:,} fit. Send several requests.")
    nul = b"\\u0000" in body
    for number, row in enumerate(rows):
        _check(row, number, nul=nul)
    return Rows([_key(row.pop("key", None), number) for number, row in enumerate(rows)], rows)


def _check(row: Any, number: int, *, nul: bool) -> None:
    """Numbers beyond a double and NUL in texts are JSON, yet neither the model nor PostgreSQL can hold them."""
    if not isinstance(row, dict):
        raise DataError(f"Row {number} is no object: {str(row)[:100]!r}. {_SHAPE}")
    for name, value in row.items():
        if isinstance(value, int | float) and not -LARGEST <= value <= LARGEST:
            raise DataError(f"Row {number}, column {name!r}: the number is too large for a double (at most 1.8e308).")
        if nul and "\0" in name + (value if isinstance(value, str) else ""):
            raise DataError(f"Row {number}, column {name!r} holds the character NUL (\\u0000), which no text may hold.")


def _key(key: Any, number: int) -> str | None:
    if key is None or isinstance(key, str):
        return key
    if isinstance(key, int) and not isinstance(key, bool):
        return str(key)
    raise DataError(f"Row {number}, 'key': expected a string, an integer or null. Received: {str(key)[:100]!r}.")
