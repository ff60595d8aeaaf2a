"""Reading what the service was asked, and the rows to hold it against."""

import logging
from datetime import timedelta

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ml import requests
from ml.context import Context
from ml.errors import EvergreenError
from ml.ledger import Champion
from ml.snapshot import ROWS
from ml.understand.checks import Population
from ml.understand.columns import Column
from ml.understand.sample import Sample, column_of, local_days
from ml.understand.served import FEWEST, compare, served_rows

log = logging.getLogger(__name__)
MOST = 20_000  # requests looked at


def read(context: Context, sample: Sample) -> Population:
    """The requests of the last days against rows that became known on the same days, and against the champion's own.

    Without a champion, a database or enough requests it says so: the page is about the data first.
    """
    try:
        champion = context.ledger.champion(context.problem.name)
        if champion is None:
            return Population(unknown="no champion serves yet, so nobody has asked anything")
        return _population(context, sample, champion)
    except EvergreenError as error:
        log.warning("data report: the served rows are left out: %s", error)
        return Population(unknown=f"the requests could not be read: {str(error).partition(': ')[0]}")


def _population(context: Context, sample: Sample, champion: Champion) -> Population:
    problem, zone = context.problem, context.problem.source.timezone
    now = context.settings.now()
    days = problem.drift.label_days
    log_rows = requests.read(context.settings.database_url, problem.name, now - timedelta(days=days), now + timedelta(seconds=1))
    if log_rows.num_rows < FEWEST:
        return Population(unknown=f"{log_rows.num_rows:,} requests in the last {days} days are too few; it takes {FEWEST}")
    chosen = np.linspace(0, log_rows.num_rows - 1, min(MOST, log_rows.num_rows)).astype(np.int64)
    served = served_rows(log_rows["row"].take(chosen).to_pylist(), problem.features, zone)
    asked = local_days(log_rows["served_at"].take(chosen), zone)
    same = np.isin(sample.known_days, np.unique(asked))
    learned, name = _learned(context, sample, champion)
    comparisons = [compare(served, learned, problem.features, zone, name)]
    if same.sum() >= FEWEST:
        then = {column: held.taken(same) for column, held in sample.declared.items()}
        comparisons.insert(0, compare(served, then, problem.features, zone, "rows of the same days"))
    return Population(served, tuple(comparisons), learned, same_time=len(comparisons) > 1)


def _learned(context: Context, sample: Sample, champion: Champion) -> tuple[dict[str, Column], str]:
    """What the champion learned from; the sample's own rows where its run folder is gone."""
    theirs = context.of_run(champion.run_key)
    if not theirs.store.exists(theirs.name(ROWS)):
        return sample.declared, "the rows of this report"
    rows = pq.read_table(theirs.file(ROWS))
    rows = rows.filter(pc.equal(rows["_part"], "train"))
    rows = rows.take(np.linspace(0, rows.num_rows - 1, min(MOST, rows.num_rows)).astype(np.int64))
    held = {name: column_of(rows, name, context.problem) for name in context.problem.features if name in rows.column_names}
    return {name: column for name, column in held.items() if column is not None}, "the rows that the champion learned from"
