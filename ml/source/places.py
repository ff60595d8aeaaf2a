"""The files that a pattern means: on disk or in a bucket, sorted by name."""

import glob
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ml.errors import ConfigError, DataError, TransientError
from ml.source.s3 import objects
from ml.store import s3

WILD = re.compile(r"[*?\[]")


@dataclass(frozen=True)
class File:
    """One file; `open` begins it anew, as it was when it was listed, and asks a server for so many bytes at a time."""

    name: str
    num_bytes: int
    open: Callable[[int], BinaryIO]


def find(pattern: str) -> list[File]:
    """All files of a pattern: `*` stands for part of a name, `**` for any folders, a folder for all that is in it.

    Raises:
        ConfigError: the object store refuses. TransientError: it is away.
        DataError: nothing matches.
    """
    if s3.is_address(pattern):
        found = [File(one.address, one.num_bytes, one.open) for one in objects(_for_a_folder(pattern))]
    else:
        found = [_on_disk(Path(name)) for name in _matches(pattern)]
    if not found:
        raise DataError(
            f"No file matches {pattern}{_nearby(pattern)}. Correct [source] pattern, or ask the owner of the files. "
            "In it * stands for part of a name and ** for any folders."
        )
    return sorted(found, key=lambda file: file.name)


def _for_a_folder(pattern: str) -> str:
    return f"{pattern}**/*" if pattern.endswith("/") else pattern


def _matches(pattern: str) -> list[str]:
    whole = f"{pattern.rstrip('/')}/**/*" if Path(pattern).is_dir() else pattern
    found = glob.glob(whole, recursive=True)  # noqa: PTH207  # Path.glob would take hidden files too
    return [name for name in found if Path(name).is_file()]


def _on_disk(path: Path) -> File:
    listed = path.stat()

    def open_(_piece: int) -> BinaryIO:
        with _told(path):
            now = path.stat()
            if (now.st_size, now.st_mtime_ns) != (listed.st_size, listed.st_mtime_ns):
                raise TransientError(f"{path} was changed while the source was read. Try again when its writer is done.")
            return path.open("rb")

    return File(str(path), listed.st_size, open_)


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except PermissionError as error:
        raise ConfigError(f"{path} may not be read by this user. Give it the right to read the files of the source.") from error
    except FileNotFoundError as error:
        raise TransientError(f"{path} was removed while the source was read. Try again when its owner is done.") from error


def _nearby(pattern: str) -> str:
    """What lies where the pattern begins, for the message."""
    if s3.is_address(pattern):
        return ""
    folder = Path(WILD.split(pattern)[0].rpartition("/")[0])
    if not folder.is_dir():
        return f"; there is no folder {folder}"
    names = sorted(path.name for path in folder.iterdir())
    return f"; {folder} holds {', '.join(names[:5])}{' ...' if len(names) > 5 else ''}" if names else f"; {folder} is empty"
