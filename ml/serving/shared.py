"""What the workers of one service share: a folder on this machine with one document per problem that says what answers.

The folder outlives the service, which starts from it when ledger and store are away. Whoever changes a document holds the lock,
proves the models first, and waits until every worker that lives has taken the change over.
"""

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from ml.errors import TransientError
from ml.serving.schemas import Wanted
from ml.settings import Settings
from ml.store import Store, writing

Origin = Literal["ledger", "note", "deploy"]
Taken = dict[str, tuple[int, str]]  # by problem: up to which change a worker has come, and why it could not take it over
PATIENCE_S = 200.0  # for workers that load a large model on a busy machine; deployments wait longer
TICK_S = 0.02


class Document(BaseModel):
    """What a problem should answer with, and how that came about.

    `sequence` counts the changes; `entry` is the newest move of the ledger that was known then, None before anybody looked.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    sequence: int = 0
    wanted: Wanted = Wanted(version=None)
    origin: Origin = "note"
    since: datetime | None = None
    entry: int | None = None


def folder_of(settings: Settings, address: str) -> Path:
    """Where the service at an address keeps what its workers share: two services never meet."""
    mark = sha256(f"{settings.store}\n{settings.problems}\n{address}".encode()).hexdigest()[:12]
    return settings.cache / "serving" / mark


class Shared:
    """The folder, seen by one worker.

    Args:
        folder: made when it is not there.
        slot: which of the workers it is.
        generation: names the start of the service; what workers of an earlier start left behind does not count.
    """

    def __init__(self, folder: Path, *, slot: int = 0, generation: str = "alone") -> None:
        self.folder = folder
        self.slot = slot
        self._generation = generation
        self._files = Store(folder)
        self._taken: Taken = {}
        self._leading: int | None = None

    @property
    def models(self) -> Path:
        """Copies of models, one folder for each digest."""
        return self.folder / "models"

    def read(self, name: str) -> Document:
        """The document of a problem; an empty one when there is none that can be read."""
        try:
            return Document.model_validate_json(self._document(name).read_bytes())
        except (OSError, ValidationError):
            return Document()

    def write(self, name: str, document: Document) -> None:
        """Replace the document of a problem, in one step.

        Raises: TransientError: the folder cannot be written.
        """
        with self._told():
            self._files.write(f"wanted/{name}.json", document.model_dump_json(indent=2).encode())

    def changes(self) -> dict[str, int]:
        """When each document was written, nanoseconds: cheap enough to ask all the time."""
        with suppress(FileNotFoundError), os.scandir(self.folder / "wanted") as found:
            return {file.name[:-5]: file.stat().st_mtime_ns for file in found if file.name.endswith(".json")}
        return {}

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Nobody else changes any document meanwhile; ends with the process, however that ends."""
        with self._told():
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = os.open(self.folder / "lock", os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def lead(self) -> bool:
        """Whether this worker is the one that looks after the service; one of those that live is, and stays it."""
        if self._leading is None:
            with self._told():
                self.folder.mkdir(parents=True, exist_ok=True)
                lock = os.open(self.folder / "leader", os.O_CREAT | os.O_RDWR, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self._leading = lock
            except BlockingIOError:
                os.close(lock)
        return self._leading is not None

    def retire(self) -> None:
        """Lead no more."""
        if self._leading is not None:
            os.close(self._leading)
            self._leading = None

    @property
    def settled(self) -> bool:
        """Whether somebody has asked the ledger since the service was started."""
        try:
            return (self.folder / "settled").read_text() == self._generation
        except OSError:
            return False

    def settle(self) -> None:
        """Let the other workers go on with what the documents say."""
        with self._told():
            self._files.write("settled", self._generation.encode())

    def take(self, name: str = "", sequence: int = 0, complaint: str = "") -> None:
        """Tell how far this worker has come; without a name only that it lives."""
        if name:
            self._taken[name] = (sequence, complaint)
        mine = {"pid": os.getpid(), "generation": self._generation, "taken": self._taken}
        with self._told():
            self._files.write(f"workers/{self.slot}.json", json.dumps(mine).encode())

    def wait(self, name: str, sequence: int, patience_s: float = PATIENCE_S) -> list[str]:
        """Wait until every worker that lives has taken a change over; returns why some could not.

        Raises: TransientError: one takes too long.
        """
        end = time.monotonic() + patience_s
        while late := [slot for slot, taken in self._workers().items() if taken.get(name, (0, ""))[0] < sequence]:
            if time.monotonic() > end:
                raise TransientError(f"Worker {late[0]} of the service has not taken {name} over within {patience_s:.0f} s.")
            time.sleep(TICK_S)
        found = {slot: taken[name] for slot, taken in self._workers().items() if name in taken}
        return [f"worker {slot}: {why}" for slot, (reached, why) in found.items() if why and reached == sequence]

    def _workers(self) -> dict[int, Taken]:
        """The other workers that live."""
        found: dict[int, Taken] = {}
        for file in (self.folder / "workers").glob("*.json"):
            with suppress(OSError, ValueError):
                one = json.loads(file.read_text())
                if file.stem != str(self.slot) and one["generation"] == self._generation and _lives(one["pid"]):
                    found[int(file.stem)] = {name: (told[0], told[1]) for name, told in one["taken"].items()}
        return found

    def _document(self, name: str) -> Path:
        return self.folder / "wanted" / f"{name}.json"

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            with writing(self.folder, "EVERGREEN_CACHE"):
                yield
        except OSError as error:
            raise TransientError(
                f"The service cannot write its folder {self.folder}: {error}. Mend it, or move EVERGREEN_CACHE."
            ) from error


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
