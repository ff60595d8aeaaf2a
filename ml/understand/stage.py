"""The stage itself: read a bounded sample, look, write the page and the record."""

import logging

import numpy as np
import pyarrow.parquet as pq

from ml import targets
from ml.context import Context
from ml.snapshot import ROWS
from ml.understand import checks, duplicates, labels, page, population, question, sample
from ml.understand.duplicates import Parts
from ml.understand.findings import CHECKS, Look, Reported, ordered
from ml.understand.findings import checks as listed
from ml.understand.sample import Plan, Sample

log = logging.getLogger(__name__)
PAGE = "data.html"


def run(context: Context) -> Reported:
    """Look at the data that are there and write `data.html` and `data.json`; there is a page also when there is nothing.

    In a night it reads the memory of the problem as of the version that was validated, by hand the whole table up to the
    window's end. The same rows give the same page.

    Raises: DataError, TransientError: as the store and the tables say.
    """
    what = sample.plan(context)
    if what is None:
        return _nothing(context)
    return _report(context, what)


def _report(context: Context, what: Plan) -> Reported:
    problem = question.worded(context.problem, what.middle)
    rows, history = sample.read(context, what)
    facts = labels.facts(history, sample.until(history, context))
    asked = population.read(context, rows)
    looks = checks.looks(rows, history, facts, _parts(context, rows), asked, problem)
    findings = ordered(found for look in looks for found in look.findings)
    record = Reported(
        start=what.newest.start,
        end=what.newest.end,
        version=what.version,
        num_rows=history.num_rows,
        num_sampled=rows.num_rows,
        findings=findings,
        checks=listed(looks),
    )
    return _write(context, record, page.render(problem, record, page.Seen(what, rows, facts, history, asked)))


def _nothing(context: Context) -> Reported:
    why = f"the table `valid` of {context.problem.name} has no rows" + (f" in {context.window}" if context.window else "")
    days = context.table("valid").days()
    why += f"; it holds {days[0]} to {days[-1]}" if days else ""
    none = listed(Look(name, unknown=why) for name in CHECKS)
    record = Reported(start=None, end=None, version=None, num_rows=0, num_sampled=0, findings=(), checks=none)
    return _write(context, record, page.empty(context.problem, record, why))


def _write(context: Context, record: Reported, html: str) -> Reported:
    context.store.write(context.name(PAGE), html.encode())
    log.info("data report: %s", record.sentence)
    return context.write(record)


def _parts(context: Context, rows: Sample) -> Parts:
    """The split that this run froze, or else older rows against the newest ones."""
    if not context.store.exists(context.name(ROWS)):
        codes = np.nan_to_num(rows.labels, nan=-1).astype(np.int64) + 1
        return duplicates.parts_of(rows.keys, rows.newest, rows.columns, codes)
    frozen = pq.read_table(context.file(ROWS))
    found = [sample.column_of(frozen, name, context.problem) for name in context.problem.features if name in frozen.column_names]
    numbers = targets.targets(frozen["_label"], context.problem).reshape(frozen.num_rows, -1)
    same = np.unique(numbers, axis=0, return_inverse=True)[1].astype(np.int64)
    return duplicates.of_snapshot(frozen, [column for column in found if column is not None], same)
