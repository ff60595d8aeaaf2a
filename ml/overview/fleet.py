"""Every problem in a line: who serves, how well, does it drift, how did last night end, what waits for somebody."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from ml import problem as problems
from ml.context import Context
from ml.errors import EvergreenError
from ml.ledger import Champion, Entry, Ledger, Work
from ml.overview import live
from ml.overview.brief import explain
from ml.overview.live import Point
from ml.overview.nights import ENTRIES, Night, nights, record
from ml.records import Evaluated
from ml.rollout import under_way
from ml.settings import Settings

MONTH = timedelta(days=30)
GLANCE = 14  # days and nights that a line of the fleet looks at


@dataclass(frozen=True)
class Waiting:
    """A candidate that waits for a person's answer."""

    version: int
    run_key: str
    since: datetime


@dataclass(frozen=True)
class Glance:
    """One problem; with `trouble` nothing else is known but what its file says, if it can be read.

    Attributes:
        promised: the success metric as the champion's evaluation promised it.
        quality: what monitoring said of the last days, oldest first; drift: the newest day's word.
        nights: the newest runs of retrain, newest first; told: how the newest ended, in a sentence.
        minutes: of training in the last 30 days, of at most `budget`; num_bytes: what the runs on the page take in the store.
    """

    name: str
    title: str
    owner: str = ""
    metric: str = ""
    champion: Champion | None = None
    age_days: int | None = None
    promised: float | None = None
    quality: tuple[Point, ...] = ()
    drift: str = ""
    told: str = ""
    waiting: tuple[Waiting, ...] = ()
    rollout: str = ""
    minutes: float = 0.0
    budget: float | None = None
    num_bytes: int = 0
    trouble: str = ""
    nights: tuple[Night, ...] = ()


def fleet(settings: Settings, names: Sequence[str] | None = None) -> list[Glance]:
    """Every problem by name; one that cannot be read says why, and takes no other with it.

    Args:
        names: only these; None: all there are.
    """
    wanted = problems.names(settings.problems) if names is None else names
    ledger = Ledger(settings.database_url, now=settings.now)  # one pool of connections for all
    return [_glance(settings, name, ledger) for name in wanted]


def _glance(settings: Settings, name: str, ledger: Ledger) -> Glance:
    try:
        context = Context(problems.load(name, settings.problems), settings, "overview")
    except EvergreenError as error:
        return Glance(name, name, trouble=without_folder(str(error), settings.problems))
    about = context.problem.problem
    try:
        return glance(context, ledger.recent(name, ENTRIES), ledger.champion(name), GLANCE)
    except EvergreenError as error:
        return Glance(name, about.title, about.owner, context.problem.success.metric, trouble=str(error))


def glance(context: Context, entries: Sequence[Entry], champion: Champion | None, most: int) -> Glance:
    """One problem, with as many of its newest days and nights.

    Args:
        entries: the newest of the ledger, oldest first.
    Raises: TransientError: the database or the store is away. ConfigError: either refuses us.
    """
    problem, name, now = context.problem, context.problem.name, context.settings.now()
    seen, ran = live.points(context, most), nights(context, entries, most)
    return Glance(
        name=name,
        title=problem.problem.title,
        owner=problem.problem.owner,
        metric=problem.success.metric,
        champion=champion,
        age_days=age(champion, now),
        promised=promised(context, champion),
        quality=tuple(seen),
        drift=live.state(seen),
        told=explain(context, entries, seen, {}, "").headline,
        waiting=tuple(_waiting(work) for work in context.ledger.due(name, "approve")),
        rollout=rolling(entries),
        minutes=sum(one.minutes or 0.0 for one in ran if one.at > now - MONTH),
        budget=problem.retraining.minutes_per_month,
        num_bytes=sum(one.num_bytes for one in ran),
        nights=tuple(ran),
    )


def age(champion: Champion | None, now: datetime) -> int | None:
    """Whole days that the champion has been champion."""
    return max((now - champion.since).days, 0) if champion and champion.since else None


def promised(context: Context, champion: Champion | None) -> float | None:
    """The success metric in the champion's evaluation; None when there is no champion, or its records are gone."""
    evaluated = record(context.of_run(champion.run_key), Evaluated) if champion else None
    found = evaluated.candidate.metrics.get(context.problem.success.metric) if evaluated else None
    return found.value if found else None


def rolling(entries: Sequence[Entry]) -> str:
    """How far the rollout is that is under way; empty when none is."""
    rollout = under_way(entries)
    if rollout is None:
        return ""
    doing = f"answers {rollout.share:.0%} of callers" if rollout.share else "looks on"
    return f"version {rollout.challenger.version} {doing} (step {rollout.step + 1} of {len(rollout.shares)})"


def without_folder(text: str, folder: Path) -> str:
    """A message for a page: where the files lie on the server is nobody's business there."""
    return text.replace(f"{folder}/", "")


def _waiting(work: Work) -> Waiting:
    return Waiting(int(work.body["version"]), str(work.body["run_key"]), work.asked_at)
