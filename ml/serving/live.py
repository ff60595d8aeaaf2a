"""The live model of a problem: loaded beside the old one, proven, then swapped in one step."""

import gc
import json
import logging
import math
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from ml import privacy, snapshot
from ml.errors import EvergreenError, RefusedError
from ml.problem import Problem
from ml.redaction import Redactor, Rule
from ml.scoring import Scorer
from ml.serving.copies import Copies
from ml.serving.loaded import Model, State
from ml.serving.schemas import Plan, Stopped, Version, Wanted
from ml.serving.shared import Origin
from ml.serving.stops import Stops
from ml.serving.trial import Trial
from ml.store import Store

logger = logging.getLogger("uvicorn.error")
NOTE = "serving.json"


class LiveModel:
    """Holds the models of one problem.

    Readers take `state` once and never wait; writers wait for each other. `complaint` says why the version last asked for
    does not serve, `note_complaint` why the note in the store could not be written; both are empty when all is well. `last`
    is what served when the service ended.
    """

    def __init__(self, problem: Problem, store: Store, now: Callable[[], datetime], copies: Path) -> None:
        self.problem = problem
        self.state = State()
        self.complaint = ""
        self.note_complaint = ""
        self.last: Version | None = None
        self.copies = Copies(copies, problem.name, store)
        self.stops = Stops(copies, problem.name)
        self._store = store
        self._now = now
        self._writers = threading.Lock()  # held while a model is loaded, which may take minutes
        self._changing = threading.Lock()  # held for an instant: a challenger is stopped while another model loads
        self._moves = 0
        self._forgotten = privacy.Forgotten("")
        self._asked_at = -math.inf

    @property
    def moves(self) -> int:
        """How often the live model was changed; lets a late starter see that somebody was faster."""
        return self._moves

    def serve(
        self, wanted: Version, origin: Origin, *, unless_moved_since: int | None = None, keep_trial: bool = False
    ) -> Model | None:
        """Make a version live; the one before answers until the new one has proven itself.

        Args:
            unless_moved_since: do nothing when `moves` has changed from this number.
            keep_trial: let a challenger go on beside it.
        Returns: the model that is live now.
        Raises: RefusedError: the version is not what it is said to be, or cannot answer; the old one still serves.
        """
        with self._writers:
            if unless_moved_since is not None and unless_moved_since != self._moves:
                return self.state.current
            try:
                model = self._loaded(wanted, origin, known=origin == "note")
            except EvergreenError as error:
                self.complaint = str(error)
                raise
            self._swap(model, keep_trial=keep_trial)
            return model

    def take_over(self, wanted: Wanted, origin: Origin) -> None:
        """Do what another worker of this service has proven, or this service before it was started again; needs no store.

        Raises: RefusedError, TransientError: a model cannot be loaded here; all stays as it was.
        """
        with self._writers:
            try:
                current = self._loaded(wanted.version, origin, known=True) if wanted.version else None
                challenger = self._loaded(wanted.plan.challenger, origin, known=True) if wanted.plan else None
            except EvergreenError as error:
                self.complaint = str(error)
                raise
            previous = self._ready(wanted.previous, origin)
            with self._changing:
                plan = wanted.plan if wanted.plan and not self.stops.why(wanted.plan) else None
                self._become(State(current, previous, challenger if plan else None, self._trial(plan)))
                self.complaint = ""
                self._moves += 1

    def attempt(self, version: Version, plan: Plan, origin: Origin) -> None:
        """Let a challenger look on, or answer its share, beside the version that serves.

        Raises: RefusedError: the challenger cannot answer, or this plan was stopped; nothing has changed then.
        """
        self.stops.demand_not(plan)
        self.serve(version, origin, keep_trial=True)
        with self._writers:
            try:
                challenger = self._loaded(plan.challenger, origin)
            except EvergreenError as error:
                self.complaint = str(error)
                raise
            with self._changing:
                self.stops.demand_not(plan)
                self.state = replace(self.state, challenger=challenger, trial=self._trial(plan))
                self._moves += 1

    def stop(self, trial: Trial, why: str) -> None:
        """End a trial: from the next request on the version that serves answers everybody. Waits for no model that loads."""
        with self._changing:
            if self.state.trial is not trial:
                return
            first = self.stops.note(Stopped(plan=trial.plan.id, why=why, at=self._now()))  # who looks now must not miss why
            self.state = replace(self.state, challenger=None, trial=None)
            self._moves += 1
            if first:
                logger.error("%s: version %d was stopped: %s", self.problem.name, trial.plan.challenger.version, why)
                self.note_complaint = self.stops.write()

    def withdraw(self) -> None:
        """Answer no more; what served last stays loaded for the way back."""
        with self._writers, self._changing:
            if self.state.current is not None:
                self.state = State(None, self.state.current)
                self._moves += 1
            self._write_note(None)

    def forgotten(self) -> privacy.Forgotten | None:
        """Who was erased, to be known by the keys of requests; None where a request does not say who its rows are about.

        Raises: TransientError: the store is away.
        """
        if self.problem.privacy.subject not in (None, self.problem.source.key):
            return None
        now = time.monotonic()
        if now - self._asked_at > privacy.LEARNED_WITHIN_S:
            self._forgotten, self._asked_at = privacy.forgotten(self.problem, self._store), now
        return self._forgotten if self._forgotten.tokens else None

    def hidden_key(self, key: str) -> str:
        """A key as the request log and the tables hold it."""
        return str(self._redactor(self.problem.privacy.redact).value(self.problem.source.key, key))

    def note(self) -> Version | None:
        """What served last, as this service wrote down, else as the store says; None when nothing was, or it is unreadable."""
        if self.last is not None:
            return self.last
        try:
            found = self._store.read_json(NOTE) if self._store.exists(NOTE) else None
            return Version.model_validate(found) if found else None
        except (EvergreenError, ValueError, OSError) as error:
            self.note_complaint = f"The note of the version that served last is unreadable: {error}"
            return None

    def _swap(self, model: Model, *, keep_trial: bool) -> None:
        with self._changing:
            self.complaint = ""
            state = self.state
            if model is not state.current:
                state = replace(state, current=model, previous=state.current)
            if not keep_trial:
                state = replace(state, challenger=None, trial=None)
            self._moves += state != self.state
            self._become(state)
        self._write_note(model.id)

    def _become(self, state: State) -> None:
        """A dropped SavedModel is a knot of references, freed now and not under some later request. Looking for knots takes
        a tenth of a second and more, in which nobody is answered: the way to a model that is kept does without.
        """
        dropped = self.state.drops(state)
        self.state = state
        if dropped:
            gc.collect()

    def _trial(self, plan: Plan | None) -> Trial | None:
        """The trial of a plan: the one that goes on, if there is one."""
        trial = self.state.trial
        if plan is None or trial is None or trial.plan.id != plan.id:
            return Trial(plan, self.problem.serving.guardrails) if plan else None
        return trial.go_on(plan)

    def _ready(self, wanted: Version | None, origin: Origin) -> Model | None:
        """The version before, for the way back; a service without one is none the worse."""
        try:
            return self._loaded(wanted, origin, known=True) if wanted else None
        except EvergreenError:
            return None

    def _loaded(self, wanted: Version, origin: Origin, *, known: bool = False) -> Model:
        state = self.state
        if state.current is not None and state.current.id == wanted:
            return state.current
        for ready in (state.challenger, state.previous):
            if ready is not None and ready.id == wanted:
                return replace(ready, origin=origin, since=self._now())
        scorer = self._proven(wanted, self.copies.model(wanted) if known else self.copies.fresh(wanted))
        learned, kept = (self._redactor(rules) for rules in (scorer.redact, self.problem.privacy.redact))
        return Model(wanted, scorer, origin, self._now(), learned, kept)

    def _redactor(self, rules: Mapping[str, Rule]) -> Redactor:
        return Redactor(rules, self.copies.salt() if "hash" in rules.values() else b"")

    def _proven(self, wanted: Version, folder: Path) -> Scorer:
        who = f"Version {wanted.version} of {self.problem.name} ({self._store.location(snapshot.model_name(wanted.run_key))})"
        if (owner := json.loads((folder / "model.json").read_text()).get("problem")) != self.problem.name:
            raise RefusedError(f"{who} is a model of {owner!r}. Name a run of {self.problem.name}.")
        try:
            scorer = Scorer.load(folder)
            difference = scorer.example_difference()
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
        except (EvergreenError, OSError) as error:
            self.note_complaint = f"The note of the serving version could not be written: {error}"
