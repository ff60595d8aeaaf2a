"""After a fix: chosen rows are judged again, and those that hold every critical rule now go into their day of `valid`."""

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import date

import pyarrow as pa

from ml.context import Context
from ml.errors import TransientError
from ml.quarantine import decisions
from ml.quarantine.day import Day
from ml.quarantine.decisions import Asked, Outcome
from ml.quarantine.held import Choice, Held, held
from ml.window import Window

log = logging.getLogger(__name__)
Judge = Callable[[pa.Table], list[list[str]]]  # critical rules that each row breaks, judged among all rows of its day
TRIES, PAUSE_S = 6, 0.5


def release(context: Context, choice: Choice, asked: Asked, *, judge: Judge) -> list[Outcome]:
    """Judge chosen rows with the present suite, day by day; who still breaks a rule stays, with its present reasons.

    Where the source was mended and read again, the row's new version is judged. Each day is two commits, first `valid`,
    then `quarantine`: killed between them, the same command run again ends equal.

    Raises:
        DataError: `raw` holds rows of a day that no validation has seen; they need one first.
        TransientError: a night that runs now goes on writing the same days.
    """
    found = held(context, choice.window)
    days = sorted(set(found.only(found.chosen(choice)).days))
    return [outcome for day in days for outcome in _insist(context, date.fromisoformat(day), choice, asked, judge)]


def _insist(context: Context, day: date, choice: Choice, asked: Asked, judge: Judge) -> list[Outcome]:
    """One day; where a night writes it at the same time, from the beginning with what the night left."""
    window, seen = Window.parse(str(day)), None
    for trial in range(TRIES):
        versions = context.table("valid").version, context.table("quarantine").version
        before = held(context, window)
        seen = seen or before.only(before.chosen(choice))  # what a night has written meanwhile is not what was asked about
        try:
            return _release(context, window, (before, replace(seen, decided=before.decided)), asked, (judge, versions))
        except TransientError as error:
            if trial == TRIES - 1:
                raise
            log.info("quarantine: another run writes %s, trying again: %s", day, error)
            time.sleep(PAUSE_S * 2**trial)
    raise AssertionError("the last try returns or raises")


def _release(
    context: Context, window: Window, rows: tuple[Held, Held], asked: Asked, how: tuple[Judge, tuple[int, int]]
) -> list[Outcome]:
    before, chosen = rows
    judge, versions = how
    raw, valid, aside = (context.table(name) for name in ("raw", "valid", "quarantine"))
    ingested = raw.read(window)
    parted = Day(ingested, valid.read(window, version=versions[0]), before, chosen).part(judge(ingested))
    told = decisions.note(context, chosen, parted.outcomes, parted.rules, asked)
    said = {"by": "quarantine release", "who": asked.who}
    for table, content, version in ((valid, parted.valid, versions[0]), (aside, parted.quarantined, versions[1])):
        table.commit(table.stage(content.to_batches(), content.schema), window, note=said, based_on=version)
    counts = [table.num_rows(window).get(str(window.start), 0) for table in (raw, valid, aside)]
    if counts[0] != counts[1] + counts[2]:
        raise TransientError(f"{window.start}: {counts[0]} rows in raw, but {counts[1]} valid + {counts[2]} quarantined")
    return told
