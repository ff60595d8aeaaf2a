"""The stage: read `raw`, judge, split, write, and prove that no row went missing."""

import logging
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from ml import daily, marks
from ml.context import Context
from ml.errors import DataError
from ml.profile import Profile
from ml.records import Ingested, RuleResult, Validated
from ml.validate import history, report, split, suite, write
from ml.validate.batch import Batch, open_batch
from ml.validate.history import Due, Evidence
from ml.validate.judge import judge, judge_pieces
from ml.validate.report import Report
from ml.validate.split import Bad
from ml.validate.write import Ready
from ml.window import Window

if TYPE_CHECKING:
    import great_expectations as gx

log = logging.getLogger(__name__)


def run(context: Context) -> Validated:
    """Judge the ingested rows.

    Raises:
        ConfigError: the suite is not whole.
        DataError: a critical table rule broke, a day is empty, or too many rows are bad; `valid` is untouched then and
            all rows are still in `raw`.
        TransientError: somebody else wrote the same days meanwhile.
    """
    ingested = context.record(Ingested)
    if ingested.num_rows == 0:
        raise DataError(f"There is nothing to validate: {context.problem.source.place} had no rows in {ingested.window}.")
    path = suite_path(context)
    rules = suite.load(path)
    inputs = [ingested.model_dump(mode="json"), path.read_text(), context.problem.validation.model_dump()]
    return context.once(Validated, inputs, lambda: _validate(context, ingested, rules))


def suite_path(context: Context) -> Path:
    """`<problem>.raw.json` beside the problem file, or else in the folder of suites."""
    name = f"{context.problem.name}.raw.json"
    beside = (context.folder_of_problem or context.settings.problems) / name
    return beside if beside.is_file() else context.settings.expectations / name


def broken_by(context: Context, rows: pa.Table) -> list[list[str]]:
    """The critical row rules of the present suite that each row breaks among these rows; none for a good row.

    Raises: as `suite.load` and `judge`.
    """
    bad = split.bad_rows(judge(rows, suite.load(suite_path(context))))
    positions, broken = bad.between(0, rows.num_rows)
    found = dict(zip(positions.tolist(), broken.to_pylist(), strict=True))
    return [found.get(position, []) for position in range(rows.num_rows)]


def every_day_has_rows(days: set[str], window: Window) -> RuleResult:
    """The one table rule that no suite can state, because it knows the window."""
    empty = [str(day) for day in window if str(day) not in days]
    return RuleResult(
        rule="every day of the window has rows",
        kind="table",
        severity="critical",
        holds=not empty,
        num_broken=0,
        observed=f"no rows on {', '.join(empty[:5])}" if empty else "",
        why="a day without rows is a feed that broke; say [validation] allow_empty_days = true where it is normal",
    )


def _validate(context: Context, ingested: Ingested, rules: "gx.ExpectationSuite") -> Validated:
    batch = open_batch(context, ingested)
    page = Report(context, {"run_key": context.run_key, "start": str(ingested.start), "end": str(ingested.end)})
    with page.written():
        bad = _judge_rows(context, batch, rules, page)
        past = _past(context, batch.window)
        due = history.days_due(past, batch.window, context.problem, asked=context.window is not None)
        with write.staged(context, batch, bad, {*due.rows, *due.labels}) as ready:
            _judge_history(context, batch, ready, (past, due), page)
            version, aside = write.let_in(context, batch, ready)
        daily.keep(context, ready.seen.profiler.result(), context.table("valid").files())
        days = write.reconcile(context, batch)
        num_valid, num_aside = (sum(counts[name] for counts in days.values()) for name in ("valid", "quarantined"))
        page.content |= {"num_valid": num_valid, "num_quarantined": num_aside, "days": days}
    marks.mark_validated(context, ingested.window)
    log.info("validate: %d valid + %d quarantined = %d ingested", num_valid, num_aside, batch.num_rows)
    return Validated(
        start=ingested.start,
        end=ingested.end,
        version=version,
        raw_version=ingested.version,
        quarantine_version=aside,
        num_ingested=batch.num_rows,
        num_valid=num_valid,
        num_quarantined=num_aside,
        rules=tuple(page.results),
    )


def _judge_rows(context: Context, batch: Batch, rules: "gx.ExpectationSuite", page: Report) -> Bad:
    """The suite and the empty days; the first chance to say no, when nothing has been written yet."""
    outcomes = judge_pieces(batch.read, batch.schema, rules)
    for outcome in outcomes:
        page.add(outcome.result, report.of_suite(outcome))
    if not context.problem.validation.allow_empty_days:
        began = max(batch.window.start, batch.table.days()[0])  # before its first day a source has no gaps
        result = every_day_has_rows(set(batch.num_rows_by_day), Window(began, batch.window.end))
        page.add(result, report.of_window(result))
    bad = split.bad_rows(outcomes)
    shown = write.rows_at(batch, bad, bad.rows[: report.ROWS])
    page.content |= {
        "num_ingested": batch.num_rows,
        "num_valid": 0,
        "num_quarantined": len(bad.rows),
        "days": {day: {"ingested": number} for day, number in batch.num_rows_by_day.items()},
        "examples": [report.plain(row) for row in shown],
    }
    _refuse(page.results, num_rows=batch.num_rows, num_bad=len(bad.rows), limit=context.problem.validation.max_quarantined_share)
    return bad


def _past(context: Context, window: Window) -> dict[date, Profile]:
    """What the days before a window looked like, and its own days as far as they were validated before."""
    weeks = timedelta(weeks=context.problem.validation.history.trailing_weeks)
    held = context.table("valid")
    if not any(day < window.start for day in (held.days() if held.exists else ())):
        return {}  # the first night: there is nothing to compare with
    return daily.profiles(context, Window(window.start - weeks, window.end))


def _judge_history(context: Context, batch: Batch, ready: Ready, known: tuple[Mapping[date, Profile], Due], page: Report) -> None:
    """The last chance to say no: the rows are staged, and no version names them."""
    past, due = known
    inside = ready.seen.profiler.result()
    num_repeated, num_identical = ready.seen.num_twice(batch)
    seen = Evidence(
        window=batch.window,
        due=due,
        inside=inside,
        before={day: profile for day, profile in past.items() if day not in inside},
        newest=ready.seen.newest,
        num_rows=batch.num_rows,
        num_repeated=num_repeated,
        num_identical=num_identical,
    )
    outcomes = history.judge(seen, context.problem)
    for outcome in outcomes:
        page.add(outcome.result, report.of_history(outcome))
    _refuse([outcome.result for outcome in outcomes], num_rows=batch.num_rows, num_bad=0, limit=1)


def _refuse(results: Sequence[RuleResult], *, num_rows: int, num_bad: int, limit: float) -> None:
    """Stop the night where the batch as a whole is not to be trusted."""
    stops = [r for r in results if r.kind == "table" and r.severity == "critical" and not r.holds]
    if stops:
        told = "; ".join(f"{r.rule}: {r.observed} ({r.why})" for r in stops)
        raise DataError(
            f"The batch breaks {len(stops)} critical rule{'s' if len(stops) > 1 else ''} and was not let through: {told}. "
            "Its rows are in `raw`; nothing downstream has seen them. Mend the source and clear from ingest on, or mend the "
            "suite or [validation] and clear validate."
        )
    if num_bad > limit * num_rows:
        told = "; ".join(
            f"{r.rule}: {r.num_broken} rows, such as {r.observed}" for r in results if r.kind == "row" and not r.holds
        )
        raise DataError(
            f"{num_bad} of {num_rows} rows are bad, more than [validation] max_quarantined_share = {limit:.0%} allows: "
            f"{told}. All rows are in `raw`. Mend the source and clear from ingest on, or the suite and clear validate."
        )
