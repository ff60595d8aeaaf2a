"""Stage 1: production rows of the window into the Delta table `raw`, one partition per day, replaced whole."""

import logging

import pyarrow as pa
import pyarrow.compute as pc

from ml import marks, snapshot, source, window
from ml.context import Context
from ml.errors import ConfigError
from ml.records import Ingested, Validated
from ml.tables import DAY, Table
from ml.window import Window

log = logging.getLogger(__name__)


def run(context: Context) -> Ingested:
    """Read the window from production; twice is once, and unchanged days write no new version.

    Until its batch is validated a run reads the source anew each time, so a mended source and a cleared task are enough.

    Raises: see `source.read`; nothing is written then.
        ConfigError: the run was begun with another window.
    """
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
        return f"no rows in {context.problem.source.table} between {record.start} and {record.end}"
    if context.reason == "schedule" and not record.changed:
        return f"the {record.num_rows} rows of {record.window} are exactly those that the last verdict was about"
    return None


def _window(context: Context) -> Window:
    about, held = context.problem.source, context.table("valid").schema()
    widened = bool(held) and not set(context.problem.features) <= set(held)  # a new feature: past days lack it
    memory = max(about.history_days, context.problem.split.train_days) if widened else about.history_days
    return window.resolve(
        context.window,
        now=context.settings.now(),
        zone=about.timezone,
        newest=None if widened else marks.newest_day(context),
        history_days=memory,
        lookback_days=about.lookback_days,
    )


def _ingest(context: Context, span: Window) -> Ingested:
    also = {name: feature.type for name, feature in snapshot.champion_features(context).items()}
    rows = source.read(context.settings.source_url, context.problem, span, now=context.settings.now(), also=also)
    table = context.table("raw")
    if rows.num_rows > 0 and not _same(table, span, rows):
        table.replace(span, rows)
    version = table.version if table.exists else -1
    changed = version != marks.learned_version(context)  # not "did I write": a night killed after writing must go on
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
    if held.num_rows != rows.num_rows or not set(rows.column_names) <= set(held.column_names):
        return False
    order = [(name, "ascending") for name in (DAY, rows.column_names[0])]
    held = held.select(rows.column_names).cast(rows.schema)
    before, now = (_comparable(one.sort_by(order)) for one in (held, rows))
    return bool(before.equals(now))


def _comparable(rows: pa.Table) -> pa.Table:
    """The same rows with NaN as text, because NaN equals nothing, not even itself."""
    floats = [field.name for field in rows.schema if pa.types.is_floating(field.type)]
    for name in floats:
        rows = rows.set_column(rows.column_names.index(name), name, rows[name].cast(pa.string()))
    return rows.combine_chunks()


def _by_day(rows: pa.Table) -> dict[str, int]:
    counts = pc.value_counts(rows[DAY]).to_pylist()
    return dict(sorted((entry["values"], entry["counts"]) for entry in counts))
