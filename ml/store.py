"""Blobs of a problem: a folder on disk. Every write is whole or not at all."""

import errno
import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ml.errors import DataError, TransientError


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what a disk says no with into words.

    Raises: TransientError: no room left, or the folder may not be written.
    """
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise TransientError(
                f"No room left on the disk of the store while writing {path}. Nothing was changed; "
                "free space or move EVERGREEN_STORE, then clear this task."
            ) from error
        if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
            raise TransientError(
                f"The store may not be written at {path} ({error.strerror}). Give this user the "
                "right to write there, or move EVERGREEN_STORE, then clear this task."
            ) from error
        raise


@dataclass(frozen=True)
class Store:
    """A folder; names are relative, with `/` between parts."""

    root: Path

    def path(self, name: str) -> Path:
        """Where `name` lies.

        Raises: DataError: the name leads out of the store.
        """
        target = (self.root / name).resolve()
        if not target.is_relative_to(self.root.resolve()):
            raise DataError(f"{name!r} leads out of the store {self.root}; names are relative and hold no '..'.")
        return target

    def exists(self, name: str) -> bool:
        """Whether a file or folder of that name is there, whole."""
        return self.path(name).exists()

    def read_json(self, name: str) -> Any:
        """Content of a JSON file.

        Raises: DataError: it is not there.
        """
        path = self.path(name)
        if not path.is_file():
            raise DataError(f"{path} is missing; the stage that writes it has not finished. Run that stage first.")
        return json.loads(path.read_text())

    def write_json(self, name: str, content: Any) -> None:
        """Replace a JSON file in one step."""
        self.write(name, json.dumps(content, indent=2, default=str).encode() + b"\n")

    def write(self, name: str, content: bytes) -> None:
        """Replace a file in one step: readers see the old one or the new one."""
        with self.replacing(name) as temporary:
            temporary.write_bytes(content)

    @contextmanager
    def replacing(self, name: str) -> Iterator[Path]:
        """Give a path to write a file or folder to; it takes the place of `name` when the block ends well."""
        target = self.path(name)
        with writing(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            scratch = Path(tempfile.mkdtemp(dir=target.parent, prefix=".writing-"))
            try:
                yield scratch / target.name
                if target.is_dir():  # a folder cannot be replaced in one step; its record is written last
                    shutil.rmtree(target)
                (scratch / target.name).replace(target)
            finally:
                shutil.rmtree(scratch, ignore_errors=True)


def digest(path: Path) -> str:
    """sha256 of a file, or over the names and contents of all files below a folder."""
    total = hashlib.sha256()
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
    for file in files:
        total.update(file.relative_to(path if path.is_dir() else path.parent).as_posix().encode() + b"\0")
        total.update(hashlib.sha256(file.read_bytes()).digest())
    return total.hexdigest()
