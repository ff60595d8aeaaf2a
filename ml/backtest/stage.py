"""The stage: history and timeline once, every policy through it, what they were worth, and a page."""

import fcntl
import hashlib
import json
import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ml import samples, tuned
from ml.backtest import history, outcome, page, play, timeline
from ml.backtest.asked import Asked
from ml.backtest.world import World
from ml.context import Context
from ml.errors import ConfigError, DataError, RefusedError
from ml.problem import Problem
from ml.records.backtest import Backtested

log = logging.getLogger(__name__)
PAGE = "backtest.html"
FIRST = ("nightly", "evergreen", "weekly", "drift", "performance", "never")  # the longest first, so that no core waits


@dataclass(frozen=True)
class Past:
    """Where the history comes from: the problem's own table `valid`, or a sample that comes with the project."""

    sample: bool = False
    data: Path | None = None

    def named(self, context: Context) -> str:
        """Names the history; another one, or rows that came since, have another name."""
        if self.sample:
            return f"the sample {context.problem.name}" + (f" of {self.data}" if self.data else "")
        table = context.table("valid")
        if not table.exists:
            raise DataError(
                f"The table `valid` of {context.problem.name} was never written, so there is no past to try policies on. Run "
                "some nights, fill it by a backfill, or take the sample (--sample)."
            )
        return f"the table valid at version {table.version}"


def run(context: Context, asked: Asked, past: Past | None = None) -> Backtested:
    """Replay and judge; after a kill the same question goes on where it stopped.

    What is replayed lies in the cache until it is judged, and goes then unless it is to be kept.

    Raises:
        DataError: there is no such history, or the span has too little before it to learn from.
        ConfigError: a policy that does not exist. RefusedError: the same backtest is being played by somebody else.
        TransientError: a process was killed; called again it goes on.
    """
    past, problem = past or Past(), _lean(context)
    home = _home(context, problem, asked, past.named(context))
    home.mkdir(parents=True, exist_ok=True)
    with _alone(home):
        _keep_history(context, home, past, asked)
        nights = timeline.build(home / "timeline", home / "history.parquet", asked.nights(problem), problem)
        worlds = [World(home, name, _under(problem, name), context.settings) for name in FIRST if name in asked.policies]
        play.every(worlds, nights, workers=asked.workers)
        record = outcome.of(worlds, nights, asked, past.named(context))
    context.write(record)
    context.store.write(context.name(PAGE), page.render_page(record, context.problem).encode())
    if not asked.keep:
        shutil.rmtree(home)
    log.info("backtest: %s", record.sentence)
    return record


def _lean(context: Context) -> Problem:
    """The problem with the settings that a search has found, and without what only people look at: no decision depends on it."""
    success = context.problem.success.model_copy(update={"beside": (), "show_rows": False})
    return context.problem.model_copy(update={"success": success, "training": tuned.training(context)})


def _under(problem: Problem, policy: str) -> Problem:
    return problem.model_copy(update={"retraining": problem.retraining.model_copy(update={"policy": policy})})


def _home(context: Context, problem: Problem, asked: Asked, named: str) -> Path:
    """A folder for this question; policies can be added to it later."""
    told = [_under(problem, "never").model_dump(mode="json"), str(asked.window), asked.every, asked.share, named]
    key = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]
    return context.settings.backtests / problem.name / key


def _keep_history(context: Context, home: Path, past: Past, asked: Asked) -> None:
    """The rows in the order in which they were asked about, once.

    Raises: ConfigError: there is no sample of the problem. DataError: the history does not cover the span.
    """
    path, problem = home / "history.parquet", context.problem
    if path.exists():
        return
    if past.sample and problem.name not in samples.SAMPLES:
        raise ConfigError(f"There is no sample of {problem.name}; there is one of {', '.join(sorted(samples.SAMPLES))}.")
    rows = history.of_sample(samples.SAMPLES[problem.name].read(past.data), problem) if past.sample else history.of_table(context)
    history.refuse_uncovered(rows, asked.window, problem)
    scratch = path.with_suffix(".new")
    history.write(scratch, history.thinned(rows, problem.source.key, asked.share), problem)
    scratch.replace(path)


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    with (home / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RefusedError(f"This backtest is being played already, in {home}. Wait for it, or end it first.") from error
        yield
