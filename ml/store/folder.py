"""A store in a folder on disk."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ml.store.words import writing

SCRATCH = ".writing-"


@dataclass(frozen=True)
class Folder:
    """Files below `root`; names have been checked."""

    root: Path

    def location(self, name: str) -> str:
        """Absolute path."""
        return str((self.root / name).resolve())

    def exists(self, name: str) -> bool:
        """Whether a file or folder is there."""
        return (self.root / name).exists()

    def read(self, name: str) -> bytes:
        """Content of a file.

        Raises: FileNotFoundError
        """
        return (self.root / name).read_bytes()

    def fetch(self, name: str) -> Path:
        """The file or folder itself.

        Raises: FileNotFoundError
        """
        return (self.root / name).resolve(strict=True)

    def names(self, prefix: str) -> list[str]:
        """Files below a folder, without what is being written."""
        found = (path.relative_to(self.root) for path in (self.root / prefix).rglob("*") if path.is_file())
        return sorted(path.as_posix() for path in found if not any(part.startswith(SCRATCH) for part in path.parts))

    def size(self, name: str) -> int:
        """Bytes of a file or of all files below a folder."""
        path = self.root / name
        files = [path] if path.is_file() else (file for file in path.rglob("*") if file.is_file())
        return sum(file.stat().st_size for file in files)

    def delete(self, name: str) -> None:
        """Remove a file or folder."""
        path = self.root / name
        with writing(path):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)

    def create(self, name: str, content: bytes) -> bool:
        """Write a file unless there is one; False when there is."""
        target = (self.root / name).resolve()
        with writing(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=target.parent, prefix=SCRATCH) as scratch:
                whole = Path(scratch) / target.name
                whole.write_bytes(content)
                try:
                    target.hardlink_to(whole)
                except FileExistsError:
                    return False
        return True

    @contextmanager
    def replacing(self, name: str) -> Iterator[Path]:
        """What is written to the given path takes the place of `name`."""
        target = (self.root / name).resolve()
        with writing(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            scratch = Path(tempfile.mkdtemp(dir=target.parent, prefix=SCRATCH))
            try:
                yield scratch / target.name
                if target.is_dir():  # a folder cannot be replaced in one step; its record is written last
                    shutil.rmtree(target)
                (scratch / target.name).replace(target)
            finally:
                shutil.rmtree(scratch, ignore_errors=True)


def digest(path: Path) -> str:
    """sha256 of a file, or over the names and contents of all files below a folder; a link in it counts as the link it is, since
    what it leads to can be exchanged, or be a whole folder of files that nobody looked at.
    """
    total = hashlib.sha256()
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file() or file.is_symlink())
    for file in files:
        total.update(file.relative_to(path if path.is_dir() else path.parent).as_posix().encode() + b"\0")
        linked = file.is_symlink() and file != path
        content = b"link to " + os.fsencode(file.readlink()) if linked else file.read_bytes()
        total.update(hashlib.sha256(content).digest())
    return total.hexdigest()
