"""From the named tensors of other protocols to rows: pure.

Tensors have no null. A value is missing when it is NaN or the empty string, as for the exported model itself, or null where the
encoding is JSON. Moments without an offset are local times of the problem, as the exported model takes them.
"""

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from ml.errors import DataError
from ml.problem import Feature
from ml.scoring import WANTED, Scorer
from ml.serving.answer import MAX_ROWS, Rows, TooLargeError

KEY = "key"  # a further input that any request may have: the client's own names of the rows


def rows_of(tensors: Mapping[str, Sequence[Any]], scorer: Scorer) -> Rows:
    """Rows from columns of equal length; a column may also be a list of lists of one value, shape (n, 1).

    Raises: DataError: an input is missing, unknown or too short, or a value is none that its column takes; names row and column.
        TooLargeError: more than MAX_ROWS rows.
    """
    _check_names(tensors, scorer.columns)
    number = _length(tensors)
    columns = {name: [_unwrapped(value) for value in values] for name, values in tensors.items()}
    keys = _read(KEY, columns.pop(KEY, [None] * number), KEY, scorer.timezone)
    plain = {name: _read(name, values, scorer.columns[name].type, scorer.timezone) for name, values in columns.items()}
    return Rows(keys, [dict(zip(plain, row, strict=True)) for row in zip(*plain.values(), strict=True)])


def columns_of(rows: Sequence[Mapping[str, Any]], scorer: Scorer) -> dict[str, list[Any]]:
    """Columns from rows in the form of other protocols, where every row has the same inputs.

    Raises: DataError: rows differ in their inputs.
    """
    first = rows[0].keys()
    for number, row in enumerate(rows):
        if row.keys() != first:
            raise DataError(f"Row {number} has the inputs {_listed(row)}, row 0 {_listed(first)}. {_expected(scorer.columns)}")
    return {name: [row[name] for row in rows] for name in first}


def plain_rows(rows: Sequence[Mapping[str, Any]], scorer: Scorer) -> list[dict[str, Any]]:
    """The way back, for examples and forms: missing texts are empty, moments are local times; missing numbers stay null."""
    return [
        {name: _tensor_value(row[name], feature, scorer.timezone) for name, feature in scorer.columns.items()} for row in rows
    ]


def shown(value: Any) -> str:
    """A value that was sent, in an error: never long, and never an error itself."""
    try:
        return repr(value)[:100]
    except ValueError:  # Python does not write whole numbers of more than 4,300 digits
        return "a number with too many digits"


def _length(tensors: Mapping[str, Sequence[Any]]) -> int:
    lengths = {len(values) for values in tensors.values()}
    if len(lengths) > 1:
        said = ", ".join(f"{name} {len(values):,}" for name, values in sorted(tensors.items()))
        raise DataError(f"The inputs have different numbers of rows: {said}. Send one value per row in each.")
    number = lengths.pop() if lengths else 0
    if number == 0:
        raise DataError("The request holds no row. Send at least one value in every input.")
    if number > MAX_ROWS:
        raise TooLargeError(f"The request holds {number:,} rows; at most {MAX_ROWS:,} fit. Send several requests.")
    return number


def _check_names(tensors: Mapping[str, Any], columns: Mapping[str, Feature]) -> None:
    missing, unknown = set(columns) - set(tensors), set(tensors) - set(columns) - {KEY}
    if missing or unknown:
        what = f"no input {min(missing)!r}" if missing else f"the unknown input {min(unknown)!r}"
        raise DataError(f"The request has {what}. {_expected(columns)}")


def _expected(columns: Mapping[str, Feature]) -> str:
    return f"Expected the inputs {_listed(columns)}; {KEY!r} may be there too."


def _listed(names: Any) -> str:
    return ", ".join(names) or "none"


def _unwrapped(value: Any) -> Any:
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _read(name: str, values: Sequence[Any], kind: str, timezone: str) -> list[Any]:
    read, wanted = _reader(kind, timezone), WANTED.get(kind, "a string or an integer")
    found = []
    for number, value in enumerate(values):
        try:
            found.append(None if _missing(value) else read(value))
        except (ValueError, OverflowError) as error:  # a string that is not UTF-8 is a ValueError too
            raise DataError(f"Row {number}, column {name!r}: expected {wanted}. Received: {shown(value)}.") from error
    return found


def _missing(value: Any) -> bool:
    return value is None or value in ("", b"") or (isinstance(value, float) and math.isnan(value))


def _reader(kind: str, timezone: str) -> Callable[[Any], Any]:
    if kind == "number":
        return _number
    if kind == "boolean":
        return _boolean
    if kind == "datetime":
        zone = ZoneInfo(timezone)
        return lambda value: _moment(value, zone)
    return _key if kind == KEY else _text


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not -sys.float_info.max <= value <= sys.float_info.max:
        raise ValueError(value)
    return float(value)


def _boolean(value: Any) -> bool:
    """Models take booleans as 0.0 and 1.0."""
    if value not in (0, 1):
        raise ValueError(value)
    return bool(value)


def _text(value: Any) -> str:
    text = value.decode() if isinstance(value, bytes) else value
    if not isinstance(text, str) or "\0" in text:  # the request log cannot hold NUL
        raise ValueError(value)
    return text


def _key(value: Any) -> str:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else _text(value)


def _moment(value: Any, zone: ZoneInfo) -> str:
    text = _text(value)
    moment = datetime.fromisoformat(text)
    return text if moment.tzinfo else moment.replace(tzinfo=zone).isoformat()


def _tensor_value(value: Any, feature: Feature, timezone: str) -> Any:
    if feature.type in ("number", "boolean"):
        return value
    if feature.type == "datetime" and value is not None:
        return datetime.fromisoformat(value).astimezone(ZoneInfo(timezone)).replace(tzinfo=None).isoformat(timespec="seconds")
    return value or ""
