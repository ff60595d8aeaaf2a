"""Objects of a bucket as files that can be read from any place, a piece at a time."""

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

from ml.errors import TransientError
from ml.store import s3, writing

CHANGED = ("PreconditionFailed", "NoSuchKey")


@dataclass(frozen=True)
class Object:
    """One object in the state it was listed in."""

    address: str
    etag: str
    num_bytes: int

    def open(self, piece: int) -> BinaryIO:
        """Its content; one request asks for `piece` bytes, or for more when more are read at once."""
        return cast("BinaryIO", io.BufferedReader(_Ranges(self), min(piece, max(self.num_bytes, 1))))


def objects(pattern: str) -> Iterator[Object]:
    """Objects whose addresses match, in the order of their names; folders that some tools keep as empty objects are left out.

    Raises: ConfigError: no such bucket, or refused keys. TransientError: the object store is away.
    """
    bucket, wanted = s3.split(pattern)
    matches = re.compile(regular(wanted))
    with writing(pattern):
        pages = s3.client().get_paginator("list_objects_v2")
        for page in pages.paginate(Bucket=bucket, Prefix=re.split(r"[*?\[]", wanted)[0]):
            for one in page.get("Contents", []):
                if matches.fullmatch(one["Key"]) and not one["Key"].endswith("/"):
                    yield Object(f"s3://{bucket}/{one['Key']}", one["ETag"], one["Size"])


def regular(pattern: str) -> str:
    """A file pattern as a regular expression, as the shell and `glob` take it: hidden names only match when they are named."""
    written = {"**/": r"(?:[^./][^/]*/)*", "*": r"[^/]*", "?": r"[^/]"}
    text = before = ""
    for part in re.split(r"(\*\*/|\*|\?|\[[^]]+\])", pattern):
        begins = part.startswith(("*", "?", "[")) and part != "**/" and (not before or before.endswith("/"))
        text += r"(?!\.)" if begins else ""
        text += part.replace("[!", "[^") if part.startswith("[") else written.get(part, re.escape(part))
        before += part
    return text


class _Ranges(io.RawIOBase):
    """An object by ranges: a request that breaks off is repeated by itself, and one that changed meanwhile is noticed."""

    def __init__(self, read: Object) -> None:
        self._read, self._at = read, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._read.num_bytes}[whence]
        self._at = start + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        end = min(self._at + len(buffer), self._read.num_bytes)
        if end <= self._at:
            return 0
        content = self._get(self._at, end)
        buffer[: len(content)] = content
        self._at += len(content)
        return len(content)

    def _get(self, start: int, end: int) -> bytes:
        from botocore.exceptions import ClientError

        bucket, key = s3.split(self._read.address)
        about = {"Bucket": bucket, "Key": key, "IfMatch": self._read.etag, "Range": f"bytes={start}-{end - 1}"}
        with writing(self._read.address):
            try:
                return bytes(s3.client().get_object(**about)["Body"].read())
            except ClientError as error:
                if error.response["Error"]["Code"] in CHANGED:
                    raise TransientError(
                        f"{self._read.address} was changed while the source was read. Try again when its writer is done."
                    ) from error
                raise
