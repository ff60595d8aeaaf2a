"""Local copies of what the service needs of the store, so that it starts and goes on while the store is away."""

import shutil
import threading
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from ml import privacy, snapshot
from ml.errors import ConfigError, DataError, EvergreenError, RefusedError, TransientError
from ml.serving.schemas import Version
from ml.store import Store, digest


@dataclass(frozen=True)
class Copies:
    """Copies of one problem's models, by digest, and of the salt that hides values.

    Args:
        folder: of this service alone; models lie in `models`, the salt of a problem in `salts`.
    """

    folder: Path
    problem: str
    store: Store
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def model(self, wanted: Version) -> Path:
        """The local folder of a model that a worker has proven; the store is asked only when it is gone.

        Raises: RefusedError, TransientError: as `proven` does.
        """
        kept = self._place(wanted)
        return kept if self._whole(kept, wanted) else self.fresh(wanted)

    def fresh(self, wanted: Version) -> Path:
        """The same, but what the store says counts, as long as it says anything.

        Raises: RefusedError: the store does not hold it, or holds another. TransientError: store away, and no copy.
        """
        name, kept = snapshot.model_name(wanted.run_key), self._place(wanted)
        who = f"Version {wanted.version} of {self.problem} ({self.store.location(name)})"
        try:
            held = self._held(name)
        except (TransientError, ConfigError):
            if self._whole(kept, wanted):
                return kept
            raise
        if not held:
            raise RefusedError(f"{who} is not in this service's store. Give the service the store that trains, EVERGREEN_STORE.")
        try:
            folder = snapshot.model_of(self.store, wanted.run_key, wanted.model_digest)
        except DataError as error:
            raise RefusedError(f"{who} cannot be served. {error}") from error
        return self._copied(folder, wanted)

    def salt(self) -> bytes:
        """The salt of the problem, of the store while it is there."""
        kept = Store(self.folder)
        name = f"salts/{self.problem}"
        try:
            self._held("")
            found = privacy.salt_of(self.store)
        except EvergreenError:
            if not kept.exists(name):
                raise
            return kept.read(name)
        with suppress(EvergreenError, OSError), kept.replacing(name) as file:  # only a start without the store would miss it
            file.touch(0o600)
            file.write_bytes(found)
        return found

    def forget(self, kept: Iterable[Version]) -> None:
        """Remove copies of models that nobody needs any more."""
        wanted = {version.model_digest for version in kept}
        for folder in self._models.glob("*"):
            if folder.name not in wanted:
                shutil.rmtree(folder, ignore_errors=True)

    @property
    def _models(self) -> Path:
        return self.folder / "models" / self.problem

    def _place(self, wanted: Version) -> Path:
        return self._models / wanted.model_digest

    def _held(self, name: str) -> bool:
        """Whether the store holds it.

        Raises: TransientError: the store is away; a folder that is not there at all is a disk that is not mounted.
        """
        if not self.store.is_remote and not Path(self.store.root).is_dir():
            raise TransientError(f"The store {self.store.root} is not there. Mount it, or correct EVERGREEN_STORE.")
        return not name or self.store.exists(name)

    def _whole(self, folder: Path, wanted: Version) -> bool:
        try:
            return folder.is_dir() and digest(folder) == wanted.model_digest
        except OSError:
            return False

    def _copied(self, folder: Path, wanted: Version) -> Path:
        """The copy; the folder itself when there is no room for one, which a service can live with until the store is away."""
        kept = self._place(wanted)
        with self._lock, suppress(EvergreenError, OSError):
            if not self._whole(kept, wanted):
                with Store(self._models).replacing(wanted.model_digest) as place:
                    shutil.copytree(folder, place)
        return kept if self._whole(kept, wanted) else folder
