"""The live model of a problem: loaded beside the old one, proven, then swapped in one step."""

import gc
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

import numpy as np

from ml.errors import DataError, EvergreenError, RefusedError, TransientError
from ml.problem import Problem
from ml.scoring import Scorer
from ml.serving.schemas import Version
from ml.store import Store, digest

NOTE = "serving.json"
Origin = Literal["ledger", "note", "deploy"]


@dataclass(frozen=True)
class Model:
    """One loaded version. A request holds on to one of these from its first row to its last."""

    id: Version
    scorer: Scorer
    origin: Origin
    since: datetime


@dataclass(frozen=True)
class State:
    """What answers now, and what answered before: kept loaded for an instant way back."""

    current: Model | None = None
    previous: Model | None = None


class LiveModel:
    """Holds the models of one problem.

    Readers take `state` once and never wait; writers wait for each other. `complaint` says why the version last asked for
    does not serve, `note_complaint` why the local note could not be written; both are empty when all is well.
    """

    def __init__(self, problem: Problem, store: Store, now: Callable[[], datetime]) -> None:
        self.problem = problem
        self.state = State()
        self.complaint = ""
        self.note_complaint = ""
        self._store = store
        self._now = now
        self._writers = threading.Lock()
        self._moves = 0

    @property
    def moves(self) -> int:
        """How often the live model was changed; lets a late starter see that somebody was faster."""
        return self._moves

    def serve(self, wanted: Version, origin: Origin, *, unless_moved_since: int | None = None) -> Model | None:
        """Make a version live; the one before answers until the new one has proven itself.

        Args:
            unless_moved_since: do nothing when `moves` has changed from this number.
        Returns: the model that is live now.
        Raises: RefusedError: the version is not what it is said to be, or cannot answer; the old one still serves.
        """
        with self._writers:
            if unless_moved_since is not None and unless_moved_since != self._moves:
                return self.state.current
            try:
                model = self._loaded(wanted, origin)
            except EvergreenError as error:
                self.complaint = str(error)
                raise
            self._swap(model)
            return model

    def withdraw(self) -> None:
        """Answer no more; what served last stays loaded for the way back."""
        with self._writers:
            if self.state.current is not None:
                self.state = State(None, self.state.current)
                self._moves += 1
            self._write_note(None)

    def note(self) -> Version | None:
        """What served last, as written down locally; None when nothing was, or the note is unreadable."""
        try:
            found = self._store.read_json(NOTE) if self._store.exists(NOTE) else None
            return Version.model_validate(found) if found else None
        except (DataError, ValueError, OSError) as error:
            self.note_complaint = f"The note of the version that served last is unreadable: {error}"
            return None

    def _swap(self, model: Model) -> None:
        self.complaint = ""
        if model is not self.state.current:
            self.state = State(model, self.state.current)
            self._moves += 1
            gc.collect()  # a dropped SavedModel is a knot of references; freed now, not under some later request
        self._write_note(model.id)

    def _loaded(self, wanted: Version, origin: Origin) -> Model:
        state = self.state
        if state.current is not None and state.current.id == wanted:
            return state.current
        if state.previous is not None and state.previous.id == wanted:
            return replace(state.previous, origin=origin, since=self._now())
        return Model(wanted, self._proven(wanted), origin, self._now())

    def _proven(self, wanted: Version) -> Scorer:
        folder = self._store.path(f"runs/{wanted.run_key}/model")
        who = f"Version {wanted.version} of {self.problem.name} ({folder})"
        if not folder.is_dir():
            raise RefusedError(f"{who} is not in this service's store. Give the service the store that trains, EVERGREEN_STORE.")
        found = digest(folder)
        if found != wanted.model_digest:
            raise RefusedError(
                f"{who} has been changed since it was registered: its digest is {found}, expected {wanted.model_digest}. "
                "Restore the folder from a backup, or train again."
            )
        if (owner := self._store.read_json(f"runs/{wanted.run_key}/model/model.json").get("problem")) != self.problem.name:
            raise RefusedError(f"{who} is a model of {owner!r}. Name a run of {self.problem.name}.")
        try:
            scorer = Scorer.load(folder)
            difference = _example_difference(scorer)
        except Exception as error:  # whatever TensorFlow says about a broken graph, the old version serves on
            raise RefusedError(f"{who} cannot be loaded: {error}") from error
        if not difference <= self.problem.serving.tolerance:
            raise RefusedError(
                f"{who} does not reproduce its own example: scores differ by {difference:.3g}, [serving] tolerance "
                f"allows {self.problem.serving.tolerance:g}. The environment of the service differs from the trainer's; "
                "use the same TensorFlow, or train again."
            )
        if "key" in scorer.columns:
            raise RefusedError(f"{who} has a feature called 'key', the name a request gives a row. Rename the column.")
        return scorer

    def _write_note(self, served: Version | None) -> None:
        """A service that cannot write the note still serves; it says so in /health."""
        try:
            self._store.write_json(NOTE, served.model_dump() if served else None)
            self.note_complaint = ""
        except (TransientError, OSError) as error:
            self.note_complaint = f"The note of the serving version could not be written: {error}"


def _example_difference(scorer: Scorer) -> float:
    """Largest difference to the scores the training saw; NaN when any is no number, infinite without examples."""
    example: dict[str, Any] = scorer.example
    scores = scorer.score(scorer.table(example["rows"]))
    wanted = np.asarray(example["scores"], dtype=np.float64)
    return float(np.max(np.abs(scores - wanted))) if len(wanted) else float("inf")
