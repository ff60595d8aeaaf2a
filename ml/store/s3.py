"""Talking to S3: addresses, and one client per process. Keys come from the usual AWS_* variables."""

import functools
import os
import threading
from typing import Any

from ml.errors import ConfigError

SCHEME = "s3://"
KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE")
_making = threading.Lock()


def is_address(location: str) -> bool:
    """Whether something lies in S3, or else in a folder."""
    return location.startswith(SCHEME)


def split(address: str) -> tuple[str, str]:
    """Bucket and the rest of `s3://bucket/rest`.

    Raises: ConfigError: it names no bucket.
    """
    bucket, _, rest = address.removeprefix(SCHEME).partition("/")
    if not is_address(address) or not bucket:
        raise ConfigError(f"{address!r} names no bucket. Write s3://bucket/prefix.")
    return bucket, rest


def endpoint() -> str:
    """Address of a server other than Amazon's, empty without."""
    return os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""


def client() -> Any:
    """The boto3 client of this process for what the environment says; connections are kept and shared by threads."""
    with _making:
        return _client(os.getpid(), endpoint(), region(), *(os.environ.get(name, "") for name in KEYS))


@functools.lru_cache(maxsize=8)
def _client(process: int, url: str, place: str | None, *keys: str) -> Any:
    """The arguments are what makes it another client: connections do not survive a fork, and keys may change."""
    import boto3
    from botocore.config import Config

    config = Config(
        connect_timeout=5,
        read_timeout=60,
        retries={"mode": "standard", "total_max_attempts": 3},
        max_pool_connections=16,
        s3={"addressing_style": "path"} if url else None,  # other servers rarely have a host name per bucket
    )
    return boto3.session.Session().client("s3", endpoint_url=url or None, region_name=place, config=config)


def region() -> str | None:
    """Region of the store; boto3 by itself reads only the second variable, deltalake only the first."""
    given = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    return given or ("us-east-1" if endpoint() else None)
