"""A store by its address: a folder, or s3://bucket/prefix. What stages see of either."""

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from ml.errors import DataError
from ml.settings import PROJECT, Settings
from ml.store import s3
from ml.store.bucket import Bucket
from ml.store.folder import Folder


@dataclass(frozen=True)
class Store:
    """Files below `root`; names are relative, with `/` between parts. `cache` holds local copies of what lies in S3."""

    root: str | Path
    cache: Path = PROJECT / "build" / "cache"

    @cached_property
    def _place(self) -> Folder | Bucket:
        return Bucket(str(self.root), self.cache) if self.is_remote else Folder(Path(self.root))

    @property
    def is_remote(self) -> bool:
        """Whether it lies in S3, so that files read from it leave copies in `cache`."""
        return s3.is_address(str(self.root))

    def location(self, name: str) -> str:
        """Where `name` lies: an absolute path or an s3:// address; for people, and for Delta.

        Raises: DataError: the name leads out of the store.
        """
        return self._place.location(self._checked(name))

    def exists(self, name: str) -> bool:
        """Whether what was written under that name is there, whole."""
        return self._place.exists(self._checked(name))

    def fetch(self, name: str) -> Path:
        """A local path to read a file or a whole folder from: the thing itself on a disk, a copy of what is in S3 now.

        Raises: DataError: it is not there. TransientError: the object store is away.
        """
        with self._told(name):
            return self._place.fetch(self._checked(name))

    def read(self, name: str) -> bytes:
        """Content of a file.

        Raises: DataError: it is not there. TransientError: the object store is away.
        """
        with self._told(name):
            return self._place.read(self._checked(name))

    def read_json(self, name: str) -> Any:
        """Content of a JSON file.

        Raises: DataError: it is not there. TransientError: the object store is away.
        """
        return json.loads(self.read(name))

    def names(self, prefix: str = "") -> list[str]:
        """Names of all files below a folder, sorted; none when there is no such folder."""
        return self._place.names(self._checked(prefix) if prefix else "")

    def size(self, name: str) -> int:
        """Bytes of a file, or of all files below a folder; 0 when it is not there."""
        return self._place.size(self._checked(name))

    def write_json(self, name: str, content: Any) -> None:
        """Replace a JSON file in one step."""
        self.write(name, json.dumps(content, indent=2, default=str).encode() + b"\n")

    def write(self, name: str, content: bytes) -> None:
        """Replace a file in one step: readers see the old one or the new one."""
        with self.replacing(name) as temporary:
            temporary.write_bytes(content)

    def create(self, name: str, content: bytes) -> bool:
        """Write a file unless there is one of that name, in one step; False when there is."""
        return self._place.create(self._checked(name), content)

    def replacing(self, name: str) -> AbstractContextManager[Path]:
        """Give a path to write a file or folder to; it takes the place of `name` when the block ends well."""
        return self._place.replacing(self._checked(name))

    def delete(self, name: str) -> None:
        """Remove a file or folder; nothing happens when it is not there."""
        self._place.delete(self._checked(name))

    def _checked(self, name: str) -> str:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or not path.parts:
            raise DataError(f"{name!r} leads out of the store {self.root}; names are relative and hold no '..'.")
        return str(path)

    @contextmanager
    def _told(self, name: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            where = self.location(name)
            raise DataError(f"{where} is missing; the stage that writes it has not finished. Run that stage first.") from error


def store_of(problem: str, settings: Settings) -> Store:
    """A problem's part of the store."""
    return Store(f"{settings.store.rstrip('/')}/{problem}", settings.cache)
