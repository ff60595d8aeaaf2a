"""The stage: read `raw`, judge, split, write, and prove that no row went missing."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ml import marks
from ml.context import Context
from ml.errors import DataError
from ml.records import Ingested, RuleResult, Validated
from ml.tables import DAY
from ml.validate import suite
from ml.validate.suite import Outcome
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
    """
    ingested = context.record(Ingested)
    if ingested.num_rows == 0:
        raise DataError(f"There is nothing to validate: {context.problem.source.table} had no rows in {ingested.window}.")
    path = suite_path(context)
    rules = suite.load(path)
    inputs = [ingested.model_dump(mode="json"), path.read_text(), context.problem.validation.model_dump()]
    return context.once(Validated, inputs, lambda: _validate(context, ingested, rules))


def suite_path(context: Context) -> Path:
    """`<problem>.raw.json` beside the problem file, or else in the folder of suites."""
    name = f"{context.problem.name}.raw.json"
    beside = (context.folder_of_problem or context.settings.problems) / name
    return beside if beside.is_file() else context.settings.expectations / name


def separate(rows: pa.Table, outcomes: list[Outcome], *, run_key: str) -> tuple[pa.Table, pa.Table]:
    """Rows that keep every critical row rule, and the others with the rules they broke (`_rules`) and the run.

    Returns: (valid, quarantined); together exactly `rows`.
    """
    broken: dict[int, list[str]] = {}
    for outcome in outcomes:
        if outcome.result.severity == "critical":
            for position in outcome.rows:
                broken.setdefault(position, []).append(outcome.result.rule)
    bad = np.zeros(rows.num_rows, dtype=bool)
    bad[sorted(broken)] = True
    quarantined = rows.filter(pa.array(bad))
    quarantined = quarantined.append_column("_rules", pa.array([broken[p] for p in sorted(broken)], pa.list_(pa.string())))
    quarantined = quarantined.append_column("_run_key", pa.array([run_key] * quarantined.num_rows, pa.string()))
    return rows.filter(pa.array(~bad)), quarantined


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
    rows = context.table("raw").read(ingested.window, version=ingested.version)
    outcomes = suite.judge(rows, rules)
    results = [outcome.result for outcome in outcomes]
    if not context.problem.validation.allow_empty_days:
        began = max(ingested.start, context.table("raw").days()[0])  # before its first day a source has no gaps
        days = set(pc.unique(rows[DAY]).to_pylist())
        results.append(every_day_has_rows(days, Window(began, ingested.end)))
    for result in (result for result in results if not result.holds):
        log.warning("validate: %s %s broke: %s", result.severity, result.rule, result.observed)
    valid, quarantined = separate(rows, outcomes, run_key=context.run_key)
    context.store.write_json(context.name("validation.json"), [result.model_dump(mode="json") for result in results])
    _refuse(results, num_rows=rows.num_rows, num_bad=quarantined.num_rows, limit=context.problem.validation.max_quarantined_share)
    aside = context.table("quarantine").replace(ingested.window, quarantined)
    version = context.table("valid").replace(ingested.window, valid)
    record = Validated(
        start=ingested.start,
        end=ingested.end,
        version=version,
        num_ingested=ingested.num_rows,
        num_valid=context.table("valid").read(ingested.window, columns=[DAY], version=version).num_rows,
        num_quarantined=context.table("quarantine").read(ingested.window, columns=[DAY], version=aside).num_rows,
        rules=tuple(results),
    )
    _reconcile(record)
    marks.mark_validated(context, ingested.window)
    log.info("validate: %d valid + %d quarantined = %d ingested", record.num_valid, record.num_quarantined, record.num_ingested)
    return record


def _refuse(results: list[RuleResult], *, num_rows: int, num_bad: int, limit: float) -> None:
    """Stop the night where the batch as a whole is not to be trusted."""
    stops = [r for r in results if r.kind == "table" and r.severity == "critical" and not r.holds]
    if stops:
        told = "; ".join(f"{r.rule}: {r.observed} ({r.why})" for r in stops)
        raise DataError(
            f"The batch breaks {len(stops)} critical rule(s) and was not let through: {told}. "
            "Its rows are in `raw`; nothing downstream has seen them. Mend the source and clear from ingest on, or mend the "
            "suite and clear validate."
        )
    if num_bad > limit * num_rows:
        told = "; ".join(
            f"{r.rule}: {r.num_broken} rows, such as {r.observed}" for r in results if r.kind == "row" and not r.holds
        )
        raise DataError(
            f"{num_bad} of {num_rows} rows are bad, more than [validation] max_quarantined_share = {limit:.0%} allows: "
            f"{told}. All rows are in `raw`. Mend the source and clear from ingest on, or the suite and clear validate."
        )


def _reconcile(record: Validated) -> None:
    """valid + quarantined = ingested, counted in the tables as written."""
    if record.num_valid + record.num_quarantined != record.num_ingested:
        raise DataError(
            f"{record.num_valid} valid + {record.num_quarantined} quarantined rows are in the tables, but "
            f"{record.num_ingested} were ingested. Another run may have written the same days; clear this task."
        )
