"""From the bytes of a request to the bytes of its answer: pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import uuid4

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic_core import from_json, to_json

from ml.errors import DataError
from ml.requests import Request
from ml.serving.live import Model

MAX_ROWS = 10_000
LARGEST = 1.7976931348623157e308


class TooLargeError(DataError):
    """More rows or bytes than one request may hold."""


@dataclass(frozen=True)
class Rows:
    """Checked rows of a request: what the client calls them, and their columns."""

    keys: list[str | None]
    columns: list[dict[str, Any]]


def answer(model: Model, rows: Rows, problem: str, served_at: datetime) -> Request:
    """Score rows with one model.

    Returns: the request as the model saw it, with the answers.
    Raises: DataError: a value the model cannot take, with row number and column.
    """
    columns = [model.learned.row(row) for row in rows.columns] if model.learned.rules else rows.columns
    answers = model.scorer.answers(_scores(model, columns))
    return Request(str(uuid4()), problem, model.id.version, served_at, rows.keys, columns, answers)


def reply(request: Request) -> bytes:
    """The JSON answer of an answered request."""
    predictions = [{"key": key} | said for key, said in zip(request.keys, request.answers, strict=True)]
    about = {"problem": request.problem, "version": request.version, "request_id": request.request_id}
    return to_json(about | {"predictions": predictions})


def parse(body: bytes) -> Rows:
    """Rows and keys of a request body.

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


_SHAPE = 'Send {"rows": [{column: value, ...}, ...]}; GET /problems/NAME shows an example.'


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


def _scores(model: Model, columns: list[dict[str, Any]]) -> npt.NDArray[np.float64]:
    try:
        scores = model.scorer.score(model.scorer.table(columns))
    except (OverflowError, pa.ArrowInvalid) as error:  # such as a time in the year 1 at +14:00
        raise DataError(f"A value lies outside what the model can take: {error}.") from error
    finite = np.isfinite(scores if scores.ndim == 1 else scores.sum(axis=1))
    if not finite.all():
        number = int(np.argmin(finite))
        raise DataError(
            f"Row {number}: the model gives no number for it; numbers that large cannot be scored: {_numbers(columns[number])}."
        )
    return scores


def _numbers(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if isinstance(value, int | float) and abs(value) > 1e9}
