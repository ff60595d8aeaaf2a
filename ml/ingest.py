"""Stage 1: production rows of the window into the Delta table `raw`, one partition per day, replaced whole."""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import Any

import pyarrow as pa

from ml import contracts, marks, privacy, snapshot, source, window
from ml.context import Context
from ml.contract import Batch
from ml.errors import ConfigError
from ml.records import Ingested, Validated
from ml.tables import Staged, Table
from ml.window import Window

log = logging.getLogger(__name__)
Files = Mapping[date, frozenset[str]]


def run(context: Context) -> Ingested:
    """Read the window from production; twice is once, and unchanged days write no new version.

    Memory is bounded whatever the window: rows pass through in batches. People who were erased are left out and what must not
    be stored is redacted before anything is written; the contract is compared before anything is committed.

    Until its batch is validated a run reads the source anew each time, so a mended source and a cleared task are enough.

    Raises: see `source.read`; nothing is committed then.
        DataError: the source is not as its contract says; the difference waits to be accepted.
        ConfigError: the run was begun with another window. TransientError: somebody was erased meanwhile.
    """
    marks.mark_begun(context)
    if not context.has(Ingested):
        return context.write(_ingest(context, _window(context)))
    begun = context.record(Ingested)  # a rerun keeps its window, however late it comes
    if context.window and Window.parse(context.window) != begun.window:
        raise ConfigError(f"Run {context.run_key} is about {begun.window}, not {context.window}. Start another run for that.")
    # Once the batch was judged, the run stands on exactly these rows.
    return begun if context.has(Validated) else context.write(_ingest(context, begun.window))


def nothing_new(record: Ingested, context: Context) -> str | None:
    """Why a night may end here, or None when there is something to learn from. A person or drift always goes on."""
    if record.num_rows == 0:
        return f"no rows in {context.problem.source.place} between {record.start} and {record.end}"
    if context.reason == "schedule" and not record.changed:
        return f"the {record.num_rows} rows of {record.window} are exactly those that the last verdict was about"
    return None


def _window(context: Context) -> Window:
    about, held = context.problem.source, context.table("valid").schema()
    wanted = {*context.problem.features, *about.labels}
    widened = bool(held) and not wanted <= set(held)  # a new feature or label: past days lack it
    memory = max(about.history_days, context.problem.split.train_days) if widened else about.history_days
    return window.resolve(
        context.window,
        now=context.settings.now(),
        zone=about.timezone,
        newest=None if widened else marks.newest_day(context),
        history_days=memory,
        lookback_days=about.lookback_days,
    )


@dataclass
class _Read:
    """What came over besides the rows themselves."""

    batch: Batch
    types: Mapping[str, str]
    forgotten: privacy.Forgotten
    counts: dict[str, Any]


def _ingest(context: Context, span: Window) -> Ingested:
    table = context.table("raw")
    before = table.files() if table.exists else {}
    staged, read = _stage(context, table, span)
    try:
        contracts.check_values(context, read.batch)
        version = _commit(context, table, staged, span, read)
    finally:
        staged.discard()  # what became part of the table stays
    if staged.num_rows:
        contracts.keep(context, read.batch, read.types)
    marks.mark_read(context)
    changed = not marks.learned(context, version)  # not "did I write": a night killed after writing must go on
    log.info(
        "ingest: %d rows of %s, raw is at version %d%s", *(staged.num_rows, span, version, "" if changed else ", as last night")
    )
    return Ingested(
        start=span.start,
        end=span.end,
        version=version,
        num_rows=staged.num_rows,
        num_rows_by_day=dict(sorted(staged.num_rows_by_day.items())),
        changed=changed,
        days_changed=_days_changed(before, table.files(version) if version >= 0 else {}, span),
        **read.counts,
    )


def _stage(context: Context, table: Table, span: Window) -> tuple[Staged, _Read]:
    """Read the source once: forget, redact, count, write beside the table. The table itself is as before."""
    problem, since = context.problem, marks.last_read(context)
    also = {name: feature.type for name, feature in snapshot.champion_features(context).items()}
    undeclared = set(also) - set(source.columns(problem))
    rules = {name: rule for name, rule in snapshot.champion_rules(context).items() if name in undeclared}
    forgotten, redactor = privacy.forgotten(problem, context.store), privacy.redactor(problem, context.store, rules)
    profiler, profile, num_erased = contracts.profiler(context), Batch(num_rows=0, columns={}), 0

    def cleaned(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        nonlocal num_erased, profile
        for batch in batches:
            kept = forgotten.without(batch)
            num_erased += batch.num_rows - kept.num_rows
            clean = redactor.redact(kept)
            profiler.add(clean)
            yield clean
        profile = profiler.result()  # while the last rows are written

    now, url = context.settings.now(), context.settings.source_url
    with source.read(url, problem, span, now=now, also=also, since=since) as rows:
        contracts.check_types(context, rows.types)
        staged = table.stage(cleaned(rows.batches), rows.schema)
    if rows.num_late:
        _warn_of_late_rows(context, rows, span)
    counts = {"num_deleted": rows.num_deleted, "num_erased": num_erased, "num_late": rows.num_late}
    return staged, _Read(profile, rows.types, forgotten, counts | {"num_redacted": dict(redactor.counts)})


def _commit(context: Context, table: Table, staged: Staged, span: Window, read: _Read) -> int:
    """The version that holds exactly these rows; a source without a single row is a fault and changes nothing, unless it
    says that the rows were deleted.
    """
    unless = partial(privacy.refuse_if_more, read.forgotten, context.problem, context.store)
    if staged.num_rows or (read.counts["num_deleted"] and table.exists):
        return table.commit(staged, span, note={"run_key": context.run_key, "stage": "ingest"}, unless=unless)
    return table.version if table.exists else -1


def _days_changed(before: Files, after: Files, span: Window) -> tuple[date, ...]:
    return tuple(day for day in span if before.get(day) != after.get(day))


def _warn_of_late_rows(context: Context, rows: source.Rows, span: Window) -> None:
    log.warning(
        "ingest: %d rows of days before %s, the first of %s, became known since the last night; no night reads those days again. "
        "Read them with: python -m ml run --problem %s --window %s/%s, or raise [source] lookback_days.",
        *(rows.num_late, span.start, rows.first_late, context.problem.name, rows.first_late, span.start),
    )
