"""What a stage is given: the problem, where things live, and which run it belongs to."""

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypedDict, TypeVar, Unpack

from ml import problem as problems
from ml import settings as settings_
from ml.errors import ConfigError
from ml.ledger import Ledger
from ml.problem import Problem
from ml.records import Record
from ml.registry import Registry
from ml.settings import Settings
from ml.store import Store, store_of
from ml.tables import Table

R = TypeVar("R", bound=Record)
Reason = Literal["schedule", "manual", "drift", "backfill"]


@dataclass(frozen=True)
class Context:
    """One run of one problem. `run_key` names its folder; everything the run writes lies there or in the tables."""

    problem: Problem
    settings: Settings
    run_key: str
    reason: Reason = "manual"
    window: str | None = None
    dry_run: bool = False
    folder_of_problem: Path | None = None  # where the problem file lies when it was given by path
    pages: tuple[tuple[str, str], ...] = ()  # what people can see of this run elsewhere, and at which address

    def of_run(self, run_key: str) -> "Context":
        """Another run of the problem, to read what that one wrote."""
        return replace(self, run_key=run_key)

    @property
    def store(self) -> Store:
        """The problem's part of the store."""
        return store_of(self.problem.name, self.settings)

    @property
    def ledger(self) -> Ledger:
        """Decisions and work of all problems; what is written there gets the time of the settings."""
        return Ledger(self.settings.database_url, now=self.settings.now)

    @property
    def registry(self) -> Registry:
        """The MLflow server."""
        return Registry(self.settings.mlflow_url)

    @property
    def folder(self) -> str:
        """Name of the run's folder inside the store."""
        return f"runs/{self.run_key}"

    def name(self, file: str) -> str:
        """Name of one of the run's files inside the store."""
        return f"{self.folder}/{file}"

    def file(self, file: str) -> Path:
        """Local path to read one of the run's files or folders from.

        Raises: DataError: it is not there. TransientError: the store is away.
        """
        return self.store.fetch(self.name(file))

    def table(self, name: Literal["raw", "valid", "quarantine", "decisions", "labels"]) -> Table:
        """One of the problem's Delta tables."""
        return Table(self.store.location(f"tables/{name}"))

    def record(self, kind: type[R]) -> R:
        """What an earlier stage of this run found out.

        Raises: DataError: that stage has not finished.
        """
        return kind.model_validate(self.store.read_json(self.name(f"{kind.stage}.json"))["record"])

    def has(self, kind: type[Record]) -> bool:
        """Whether that stage of this run has finished."""
        return self.store.exists(self.name(f"{kind.stage}.json"))

    def write(self, record: R, inputs: str = "") -> R:
        """Keep what a stage found out; the last thing it writes.

        Args:
            inputs: digest of what the stage worked from, if it is to be compared when the stage runs again.
        """
        content = {"inputs": inputs, "record": record.model_dump(mode="json")}
        self.store.write_json(self.name(f"{record.stage}.json"), content)
        return record

    def once(self, kind: type[R], inputs: object, compute: Callable[[], R]) -> R:
        """Do a stage's work once per run and inputs; a finished stage returns its record and writes nothing.

        The record is written last, so a stage killed at any point before starts over and overwrites its own traces.
        """
        key = hashlib.sha256(json.dumps(inputs, sort_keys=True, default=str).encode()).hexdigest()
        if self.has(kind):
            found = self.store.read_json(self.name(f"{kind.stage}.json"))
            if found["inputs"] == key:
                return kind.model_validate(found["record"])
        return self.write(compute(), key)


class About(TypedDict, total=False):
    """What a run may say of itself besides its key."""

    reason: Reason
    window: str | None
    dry_run: bool
    pages: tuple[tuple[str, str], ...]


def open_run(problem: str, run_key: str, **about: Unpack[About]) -> Context:
    """The context of a run, settings from the environment.

    Raises: ConfigError: unknown problem, wrong setting, or a run key that cannot name a folder.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,199}", run_key):
        raise ConfigError(f"{run_key!r} cannot name a run's folder. Use letters, digits and . _ - (at most 200).")
    settings = settings_.read()
    found = Path(problem).parent if problem.endswith(".toml") else None
    loaded = problems.load(problem, settings.problems)
    about["dry_run"] = about.get("dry_run", False) or about.get("reason") == "backfill"
    return Context(loaded, settings, run_key, folder_of_problem=found, **about)
