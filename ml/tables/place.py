"""Where a table lies, a folder or `s3://bucket/prefix`, and what its disk or server says no with."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from ml import store
from ml.store import s3

TOLD_IN_WORDS = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS, errno.EPERM)


def options(location: str) -> dict[str, str]:
    """What deltalake needs to reach a location besides the AWS_* variables, which it reads by itself; nothing for a folder."""
    if not s3.is_address(location):
        return {}
    found = {"aws_conditional_put": "etag"}  # of two writers of the same log entry the second is refused
    if url := s3.endpoint():
        found |= {"aws_endpoint_url": url, "aws_allow_http": str(url.startswith("http://")).lower()}
    if region := s3.region():
        found["aws_region"] = region
    return found


@contextmanager
def reaching(location: str) -> Iterator[None]:
    """What `store.writing` says, also where deltalake tells of a full or forbidden disk only in words.

    Raises: TransientError, ConfigError: see `store.writing`.
    """
    from deltalake.exceptions import DeltaError

    with store.writing(location):
        try:
            yield
        except (DeltaError, OSError) as error:
            number = next((number for number in TOLD_IN_WORDS if os.strerror(number) in str(error)), None)
            if number is None or s3.is_address(location):
                raise
            raise OSError(number, str(error)) from error
