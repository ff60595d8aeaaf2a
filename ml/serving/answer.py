"""From checked rows to the bytes of their answer: pure."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import uuid4

import msgspec
import numpy as np
import pyarrow as pa

from ml.errors import DataError
from ml.requests import Request
from ml.scoring import Floats
from ml.serving.loaded import Model
from ml.serving.rows import MAX_ROWS as MAX_ROWS
from ml.serving.rows import Rows as Rows
from ml.serving.rows import TooLargeError as TooLargeError
from ml.serving.rows import parse as parse

FEW_ROWS = 64  # scored at once on the event loop; more of them would let everybody else wait
Columns = list[dict[str, Any]]
_encode = msgspec.json.Encoder().encode


def answer(model: Model, rows: Rows, problem: str, served_at: datetime) -> Request:
    """Score rows with one model.

    Returns: the request as the model saw it, with the answers.
    Raises: DataError: a value the model cannot take, with row number and column.
    """
    columns = seen(model, rows)
    return request(model, rows, columns, scores(model, columns, known=rows.fit is model.scorer.columns), problem, served_at)


def fitting(model: Model, rows: Rows) -> Rows:
    """The rows, marked as right for the model if they are: it then takes them by the quick way."""
    if rows.fit is model.scorer.columns:
        return rows
    quick = (rows.fit is not None or len(rows.columns) <= FEW_ROWS) and model.decoder.fits(rows.columns)
    return Rows(rows.keys, rows.columns, model.scorer.columns) if quick else rows


def seen(model: Model, rows: Rows) -> Columns:
    """The columns as the rows looked that the model learned from."""
    return [model.learned.row(row) for row in rows.columns] if model.learned.rules else rows.columns


def scores(model: Model, columns: Columns, *, known: bool) -> Floats:
    """What the model answers.

    Args:
        known: the rows are known to be right for the model, which saves the check.
    Raises: DataError: a value the model cannot take, with row number and column.
    """
    try:
        return model.scorer.score_rows(columns) if known else model.scorer.score(model.scorer.table(columns))
    except (OverflowError, pa.ArrowInvalid) as error:  # such as a time in the year 1 at +14:00
        raise DataError(f"A value lies outside what the model can take: {error}.") from error


def request(model: Model, rows: Rows, columns: Columns, found: Floats, problem: str, served_at: datetime) -> Request:
    """What was asked and answered.

    Raises: DataError: a row for which the model gives no number.
    """
    finite = np.isfinite(found if found.ndim == 1 else found.sum(axis=1))
    if not finite.all():
        number = int(np.argmin(finite))
        raise DataError(
            f"Row {number}: the model gives no number for it; numbers that large cannot be scored: {_numbers(columns[number])}."
        )
    return Request(str(uuid4()), problem, model.id.version, served_at, rows.keys, columns, model.scorer.answers(found))


def reply(request: Request) -> bytes:
    """The JSON answer of an answered request."""
    predictions = [{"key": key, **said} for key, said in zip(request.keys, request.answers, strict=True)]
    about = {"problem": request.problem, "version": request.version, "request_id": request.request_id}
    return _encode(about | {"predictions": predictions})


def _numbers(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if isinstance(value, int | float) and abs(value) > 1e9}
