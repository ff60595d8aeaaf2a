"""Stage 1: production rows of the window into the Delta table `raw`, one partition per day, replaced whole."""

import logging

import pyarrow as pa
import pyarrow.compute as pc

from ml import source, window
from ml.context import Context
from ml.records import Ingested, Validated
from ml.tables import DAY, Table
from ml.window import Window

log = logging.getLogger(__name__)


def run(context: Context) -> Ingested:
    """Read the window from production; twice is once, and unchanged days write no new version.

    Until its batch is validated a run reads the source anew each time, so a mended source and a cleared task are enough.

    Raises: see `source.read`; nothing is written then.
    """
    about, held = context.problem.source, context.table("raw").schema()
    widened = bool(held) and not set(source.columns(context.problem)) <= set(held)  # a new feature: past days lack it
    span = window.resolve(
        context.window,
        now=context.settings.now(),
        zone=about.timezone,
        newest=None if widened else context.table("valid").newest_day(),
        history_days=about.history_days,
        lookback_days=about.lookback_days,
    )
    if context.has(Ingested):  # a rerun keeps its window, however late it comes
        if context.has(Validated):  # the batch was judged: from here on the run stands on exactly these rows
            return context.record(Ingested)
        span = context.record(Ingested).window
    return context.write(_ingest(context, span))


def nothing_new(record: Ingested, context: Context) -> str | None:
    """Why a night may end here, or None when there is something to learn from. A person or drift always goes on."""
    if record.num_rows == 0:
        return f"no rows in {context.problem.source.table} between {record.start} and {record.end}"
    if context.reason == "schedule" and not record.changed:
        return f"the {record.num_rows} rows of {record.window} are exactly those of the last night"
    return None


def last_validated(context: Context) -> int:
    """The version of `raw` that `valid` was last made from, -1 before the first night."""
    name = "tables/validated.json"
    return int(context.store.read_json(name)["raw_version"]) if context.store.exists(name) else -1


def _ingest(context: Context, span: Window) -> Ingested:
    moment = context.settings.now()
    rows = source.read(context.settings.source_url, context.problem, span, now=moment)
    table = context.table("raw")
    if rows.num_rows > 0 and not _same(table, span, rows):
        table.replace(span, rows)
    version = table.version if table.exists else -1
    changed = version != last_validated(context)  # not "did I write": a night killed after writing must go on
    log.info("ingest: %d rows of %s, raw is at version %d%s", rows.num_rows, span, version, "" if changed else ", as last night")
    return Ingested(
        start=span.start,
        end=span.end,
        version=version,
        num_rows=rows.num_rows,
        num_rows_by_day=_by_day(rows),
        changed=changed,
    )


def _same(table: Table, span: Window, rows: pa.Table) -> bool:
    """Whether the table holds exactly these rows for the span (order aside: COPY sorts by day and key, Delta may not)."""
    if not table.exists:
        return False
    held = table.read(span)
    if held.num_rows != rows.num_rows or set(held.column_names) != set(rows.column_names):
        return False
    order = [(name, "ascending") for name in (DAY, rows.column_names[0])]
    held = held.select(rows.column_names).cast(rows.schema).sort_by(order)
    return bool(held.combine_chunks().equals(rows.sort_by(order).combine_chunks()))


def _by_day(rows: pa.Table) -> dict[str, int]:
    counts = pc.value_counts(rows[DAY]).to_pylist()
    return dict(sorted((entry["values"], entry["counts"]) for entry in counts))
