"""What one policy's replay lives in: a store, a ledger, a request log and a clock of its own, all in one folder."""

import fcntl
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from ml import database, marks
from ml.backtest import timeline
from ml.backtest.timeline import Night
from ml.context import Context
from ml.problem import Problem
from ml.records import Ingested, Validated
from ml.settings import Settings

STATE, STORE, CLOCK, NIGHTS, ANSWERS = "state.db", "store", "clock", "nights", "answers"
UNREACHABLE = "http://127.0.0.1:9"  # a replay registers no model and asks no service


@dataclass(frozen=True)
class World:
    """The world of one policy; `home` is the folder of the whole backtest."""

    home: Path
    policy: str
    problem: Problem
    base: Settings

    @property
    def folder(self) -> Path:
        """Where all of it lies."""
        return self.home / "policies" / self.policy

    @property
    def shared(self) -> Path:
        """Trainings that several policies may use."""
        return self.home / "trainings"

    @property
    def past(self) -> Path:
        """The whole history; only what serves and what judges afterwards reads it, no stage does."""
        return self.home / "history.parquet"

    @property
    def settings(self) -> Settings:
        """Settings that lead here and nowhere else."""
        return replace(
            self.base,
            store=str(self.folder / STORE),
            cache=self.folder / "cache",
            database_url=f"sqlite:///{self.folder / STATE}",
            mlflow_url=UNREACHABLE,
            serving_url=UNREACHABLE,
            source_url="",
            clock_file=self.folder / CLOCK,
        )

    def context(self, run_key: str) -> Context:
        """A scheduled run of this world."""
        return Context(self.problem, self.settings, run_key, reason="schedule")

    def begin(self) -> None:
        """Make what is not there yet."""
        for name in (NIGHTS, ANSWERS):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        _wait_for_lock(self.folder)
        database.migrate(self.settings.database_url)

    def dawn(self, night: Night) -> Context:
        """It is that night: the clock stands there, `valid` holds what was known, and the run has read it."""
        write(self.folder / CLOCK, night.at.isoformat())
        context = self.context(f"night-{night.name}")
        timeline.reveal(self.home / "timeline", self.folder / STORE / self.problem.name / "tables" / "valid", night)
        about = {"start": night.read.start, "end": night.read.end}
        changed = not marks.learned(context, night.version)
        counts = {"num_ingested": night.num_rows, "num_valid": night.num_rows, "num_quarantined": 0}
        context.write(Ingested(**about, version=night.version, num_rows=night.num_rows, num_rows_by_day={}, changed=changed))
        context.write(Validated(**about, version=night.version, raw_version=night.version, **counts, rules=()))
        marks.mark_validated(context, night.read)
        return context

    def played(self, nights: Iterable[Night]) -> list[Night]:
        """The nights that are over here."""
        return [night for night in nights if self.record(night).exists()]

    def record(self, night: Night) -> Path:
        """The file that says how a night went; it is written last."""
        return self.folder / NIGHTS / f"{night.name}.json"

    def answers(self, night: Night) -> Path:
        """The file of what was answered between a night and the next."""
        return self.folder / ANSWERS / f"{night.name}.parquet"


def write(path: Path, content: object) -> None:
    """Text, or anything else as JSON, whole or not at all."""
    scratch = path.with_name(f"{path.name}.new")
    scratch.write_text(content if isinstance(content, str) else json.dumps(content))
    scratch.replace(path)


def _wait_for_lock(folder: Path) -> None:
    """From here to its end this process is alone here; the one of a killed replay may still be ending."""
    _HELD.append((folder / "lock").open("w"))
    fcntl.flock(_HELD[-1], fcntl.LOCK_EX)


_HELD: list[IO[str]] = []  # a lock lives as long as its file is open
