"""What disks and object stores say no with, in words that tell who can mend it."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ml.errors import ConfigError, EvergreenError, TransientError
from ml.store import s3

# error codes of S3, the HTTP states that stand for them in an answer without a body, and what clients write in messages
ABSENT = ("NoSuchBucket",)
FORBIDDEN = (
    "AccessDenied",
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "ExpiredToken",
    "InvalidToken",
    "403",
    "403 Forbidden",
)
KEYLESS = ("NoCredentialsError", "PartialCredentialsError", "no providers in chain provided credentials")
FULL = ("InsufficientStorage", "XMinioStorageFull", "QuotaExceeded", "No space left on device", "507")
AWAY = ("SlowDown", "ServiceUnavailable", "InternalError", "RequestTimeout", "500", "502", "503", "504")
SILENT = ("Connect", "Timeout", "timed out", "dns error", "error sending request", "ResponseStreamingError", "IncompleteRead")


@contextmanager
def writing(place: Path | str, setting: str = "EVERGREEN_STORE") -> Iterator[None]:
    """Turn what a disk or an object store says no with into words; it may be put around reading too.

    Args:
        place: path, or s3:// address, that the block works on.
        setting: what leads there.
    Raises:
        TransientError: no room left, the folder may not be written, or the object store does not answer.
        ConfigError: the bucket is not there, or the object store refuses the keys.
    """
    try:
        yield
    except Exception as error:  # botocore and Delta have classes of their own for it
        said = _of_s3(error, str(place)) if s3.is_address(str(place)) else _of_a_disk(error, place, setting)
        if said is None:
            raise
        raise said from error


def _of_a_disk(error: Exception, place: Path | str, setting: str) -> EvergreenError | None:
    number = error.errno if isinstance(error, OSError) else None
    if number in (errno.ENOSPC, errno.EDQUOT):
        return TransientError(
            f"No room left on the disk of the store while writing {place}. Nothing was changed; "
            f"free space or move {setting}, then clear this task."
        )
    if number in (errno.EACCES, errno.EROFS, errno.EPERM):
        return TransientError(
            f"The store may not be written at {place} ({error}). Give this user the "
            f"right to write there, or move {setting}, then clear this task."
        )
    return None


def _of_s3(error: Exception, place: str) -> EvergreenError | None:
    if isinstance(error, EvergreenError):
        return None
    code = getattr(error, "response", {}).get("Error", {}).get("Code", "")
    told = code or " ".join(f"{type(error).__name__}: {error}".split())

    def says(signs: tuple[str, ...]) -> bool:  # a number alone may be part of a path that a message quotes
        return code in signs if code else any(sign in told for sign in signs if not sign.isdigit())

    if says(ABSENT):
        return ConfigError(f"There is no bucket {place.split('/')[2]!r} for {place}. Create it, or correct the address.")
    if says(FORBIDDEN):
        return ConfigError(
            f"The object store refuses these keys at {place} ({told[:300]}). Correct AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, or let them list, read, write and delete there. "
            "Some servers say this of a bucket that does not exist."
        )
    if says(KEYLESS):
        return ConfigError(
            f"There are no keys for {place} ({told[:300]}). Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give this "
            "machine a role."
        )
    if says(FULL):
        return TransientError(f"No room left in the object store at {place} ({told[:300]}). Free space, then clear this task.")
    if says(AWAY) or (not code and says(SILENT)):
        return TransientError(
            f"The object store does not answer at {place} ({told[:300]}). Is it up, and AWS_ENDPOINT_URL right?"
        )
    return None
