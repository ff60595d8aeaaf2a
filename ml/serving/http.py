"""What every HTTP route of the service shares: the size of a body, the status of an error, and how both are documented."""

from typing import Any, TypeVar

from fastapi import HTTPException, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException as StarletteHTTPException

from ml.errors import ConfigError, DataError, EvergreenError, RefusedError, TransientError
from ml.serving.answer import TooLargeError
from ml.serving.schemas import Failure

M = TypeVar("M", bound=BaseModel)
MAX_BODY_BYTES = 32 * 2**20
STATUS: dict[type[Exception], int] = {
    TooLargeError: 413,
    DataError: 422,
    RefusedError: 409,
    ConfigError: 503,
    TransientError: 503,
}
FAILURES: dict[int | str, dict[str, Any]] = {
    400: {"model": Failure, "description": "the body is not what was expected; row and input are named"},
    401: {"model": Failure, "description": "the token is missing or wrong"},
    403: {"model": Failure, "description": "the token does not allow this, or none is configured"},
    404: {"model": Failure, "description": "no such problem, or the version is not loaded"},
    409: {"model": Failure, "description": "the version cannot serve; the old one goes on"},
    413: {"model": Failure, "description": "too many rows or bytes"},
    422: {"model": Failure, "description": "the body is not what was expected; row and column are named"},
    429: {"model": Failure, "description": "more requests than this client may send; Retry-After says when to go on"},
    503: {"model": Failure, "description": "no model yet, too busy, or something the service needs is away"},
}


def failure(error: Exception) -> tuple[int, str, dict[str, str]]:
    """Status, message and headers that an error is answered with."""
    if isinstance(error, StarletteHTTPException):
        return error.status_code, str(error.detail), dict(error.headers or {})
    if isinstance(error, RequestValidationError):
        return 422, str(error), {}
    if isinstance(error, EvergreenError):
        return next((status for kind, status in STATUS.items() if isinstance(error, kind)), 500), str(error), {}
    return 500, "An error of the service itself; its log holds the traceback.", {}


def failures(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The documentation of some error answers."""
    return {status: FAILURES[status] for status in statuses}


def body_of(model: type[BaseModel]) -> dict[str, Any]:
    """Documents a JSON body that is read by hand, because its size is checked first; `describe.openapi` lifts its `$defs`."""
    schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def read_json(body: bytes, kind: type[M], shape: str) -> M:
    """A checked body.

    Raises: DataError: another shape; names the fields.
    """
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        found = error.errors(include_input=False, include_url=False)[:3]
        what = "; ".join(f"{'.'.join(map(str, detail['loc'])) or 'body'}: {detail['msg']}" for detail in found)
        raise DataError(f"{what}. Send {shape}.") from error


async def read_body(request: Request) -> bytes:
    """The body, 413 as soon as it is known to be larger than MAX_BODY_BYTES."""
    parts: list[bytes] = []
    num_bytes = int(declared) if (declared := request.headers.get("content-length", "0")).isdecimal() else 0
    if num_bytes <= MAX_BODY_BYTES:
        num_bytes = 0
        async for part in request.stream():
            parts.append(part)
            num_bytes += len(part)
            if num_bytes > MAX_BODY_BYTES:
                break
    if num_bytes > MAX_BODY_BYTES:
        raise HTTPException(413, f"The body is larger than {MAX_BODY_BYTES // 2**20} MiB. Send several requests.")
    return b"".join(parts)
