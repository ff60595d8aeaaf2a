"""A store in an S3 bucket, with local copies of what was read.

The server replaces one object in one step. A folder is uploaded file by file, and meanwhile an object `<folder>/.writing-...`
stands beside its files; a folder that has one is not there. So nobody reads the half folder that a killed writer leaves, and
the next writer of that name clears it up.
"""

import hashlib
import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ml.errors import DataError, TransientError
from ml.store import s3
from ml.store.folder import SCRATCH
from ml.store.words import writing

PIECE = 1 << 20  # bytes read at a time
TRIES = 5
KEPT_DAYS = 7  # a copy that nobody asked for so long leaves the cache
CHANGED = ("PreconditionFailed", "NoSuchKey")


@dataclass(frozen=True)
class Bucket:
    """Objects below `address`, s3://bucket/prefix; names have been checked."""

    address: str
    cache: Path

    def location(self, name: str) -> str:
        """s3:// address."""
        return f"{self.address.rstrip('/')}/{name}"

    def exists(self, name: str) -> bool:
        """Whether an object, or a folder that was written whole, is there."""
        return bool(self._etags(name))

    def read(self, name: str) -> bytes:
        """Content of an object.

        Raises: FileNotFoundError
        """
        client = s3.client()
        with writing(self.location(name)):
            try:
                return bytes(client.get_object(**self._object(name))["Body"].read())
            except client.exceptions.NoSuchKey as error:
                raise FileNotFoundError(self.location(name)) from error

    def fetch(self, name: str) -> Path:
        """A copy of the object or folder as it is now; one that has not changed since the last time is not fetched again.

        Raises: FileNotFoundError. TransientError: it is being replaced all the time.
        """
        for _ in range(TRIES):
            etags = self._etags(name)
            if not etags:
                raise FileNotFoundError(self.location(name))
            if (copy := self._copy(name, etags)) is not None:
                return copy
        raise TransientError(f"{self.location(name)} was replaced {TRIES} times while it was read. Try again when that is over.")

    def names(self, prefix: str) -> list[str]:
        """Objects below a prefix, without the traces of writers."""
        below = f"{prefix}/" if prefix else ""
        return sorted(below + name for name in self._list(below) if SCRATCH not in name)

    def size(self, name: str) -> int:
        """Bytes of an object, or of all below a folder."""
        whole = len(self._object(name)["Key"])  # names that only begin alike are others
        return sum(one["Size"] for one in self._objects(name) if one["Key"][whole:].startswith("/") or not one["Key"][whole:])

    def delete(self, name: str) -> None:
        """Remove an object or folder; a folder is gone for readers before its first file is."""
        if "" in self._list(name, at_most=1):
            self._remove([name])
        elif self._list(f"{name}/"):
            with self._marked(name) as mark:
                self._clear(name, but=mark)

    def create(self, name: str, content: bytes) -> bool:
        """Write an object unless there is one; False when there is, or somebody else is just writing it."""
        from botocore.exceptions import ClientError

        with writing(self.location(name)):
            try:
                s3.client().put_object(**self._object(name), Body=content, IfNoneMatch="*")
            except ClientError as error:
                if error.response["Error"]["Code"] in ("PreconditionFailed", "ConditionalRequestConflict"):
                    return False
                raise
        return True

    @contextmanager
    def replacing(self, name: str) -> Iterator[Path]:
        """What is written to the given local path is uploaded in the place of `name` when the block ends well."""
        with self._scratch() as scratch:
            local = scratch / name.rsplit("/", 1)[-1]
            with writing(local, "EVERGREEN_CACHE"):
                yield local
            if local.is_dir():
                self._upload_folder(name, local)
            else:
                self._upload(name, local)

    def _object(self, name: str) -> dict[str, str]:
        bucket, key = s3.split(self.location(name))
        return {"Bucket": bucket, "Key": key}

    def _etags(self, name: str) -> dict[str, str]:
        """ETags of the files of `name`: under "" when it is one object, by their names below it when it is a whole folder."""
        if "" in (exact := self._list(name, at_most=1)):  # in the order of names, so the object itself comes first
            return exact
        found = self._list(f"{name}/")
        return {} if any(file.startswith(SCRATCH) for file in found) else found

    def _list(self, prefix: str, at_most: int | None = None) -> dict[str, str]:
        """ETags of the objects whose names begin with a prefix, by the rest of the name."""
        start = len(self._object(prefix)["Key"])
        return {one["Key"][start:]: one["ETag"] for one in self._objects(prefix, at_most)}

    def _objects(self, prefix: str, at_most: int | None = None) -> Iterator[Mapping[str, Any]]:
        """What the server lists of the objects whose names begin with a prefix, in the order of names."""
        start = self._object(prefix)
        with writing(self.location(prefix)):
            pages = s3.client().get_paginator("list_objects_v2")
            limits = {"MaxItems": at_most, "PageSize": at_most}
            for page in pages.paginate(Bucket=start["Bucket"], Prefix=start["Key"], PaginationConfig=limits):
                yield from page.get("Contents", [])

    def _copy(self, name: str, etags: Mapping[str, str]) -> Path | None:
        """The local copy of exactly these objects; None when one of them has changed meanwhile."""
        about = [s3.endpoint(), self.location(name), *map(str, sorted(etags.items()))]
        home = self.cache / hashlib.sha256("\n".join(about).encode()).hexdigest()[:32]
        copy = home / name.rsplit("/", 1)[-1]
        if copy.exists():
            os.utime(home)
            return copy
        with self._scratch() as scratch:
            for file, etag in etags.items():
                if file and not _inside(file):
                    raise DataError(f"{self.location(name)} holds {file!r}, a name that leads out of a folder. Remove it.")
                if not self._download(f"{name}/{file}".rstrip("/"), etag, scratch / copy.name / file):
                    return None
            try:
                scratch.replace(home)
            except OSError:  # somebody else put the same copy there
                if not copy.exists():
                    raise
        self._forget_old()
        return copy

    def _download(self, name: str, etag: str, path: Path) -> bool:
        """False when the object is another one by now."""
        from botocore.exceptions import ClientError

        with writing(self.location(name)):
            try:
                body = s3.client().get_object(**self._object(name), IfMatch=etag)["Body"]
            except ClientError as error:
                if error.response["Error"]["Code"] in CHANGED:
                    return False
                raise
            with writing(path, "EVERGREEN_CACHE"):
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("wb") as file:
                    file.writelines(body.iter_chunks(PIECE))
        return True

    def _upload(self, name: str, local: Path) -> None:
        to = self._object(name)
        with local.open("rb") as file, writing(self.location(name)):
            s3.client().upload_fileobj(file, to["Bucket"], to["Key"])

    def _upload_folder(self, name: str, local: Path) -> None:
        files = [path.relative_to(local).as_posix() for path in local.rglob("*") if path.is_file()]
        with self._marked(name) as mark:
            self._clear(name, but=mark)
            for file in files:
                self._upload(f"{name}/{file}", local / file)
            if set(self._list(f"{name}/")) != {mark, *files}:
                raise TransientError(f"Two writers were at {self.location(name)} at once. Clear this task when one has ended.")

    @contextmanager
    def _marked(self, name: str) -> Iterator[str]:
        """The folder is not there for readers while the block runs, nor after a failure of it."""
        mark = f"{SCRATCH}{uuid.uuid4().hex}"
        with writing(self.location(name)):
            s3.client().put_object(**self._object(f"{name}/{mark}"), Body=b"")
        yield mark
        self._remove([f"{name}/{mark}"])

    def _clear(self, name: str, *, but: str) -> None:
        """Remove the files of a folder, and the marks that killed writers left."""
        self._remove(f"{name}/{file}" for file in self._list(f"{name}/") if file != but)

    def _remove(self, names: Iterable[str]) -> None:
        for name in names:
            with writing(self.location(name)):
                s3.client().delete_object(**self._object(name))

    @contextmanager
    def _scratch(self) -> Iterator[Path]:
        with writing(self.cache, "EVERGREEN_CACHE"):
            self.cache.mkdir(parents=True, exist_ok=True)
            scratch = Path(tempfile.mkdtemp(dir=self.cache, prefix=SCRATCH))
        try:
            yield scratch
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def _forget_old(self) -> None:
        oldest = time.time() - KEPT_DAYS * 86_400
        for home in self.cache.iterdir():
            with suppress(FileNotFoundError):
                if home.stat().st_mtime < oldest:
                    shutil.rmtree(home, ignore_errors=True)


def _inside(name: str) -> bool:
    """Whether the name of an object is one of a file below a folder: in a bucket any text is a name."""
    return not any(part in ("", ".", "..") for part in name.split("/")) and "\0" not in name
