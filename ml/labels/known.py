"""Labels of keys, as far as they were known at a moment."""

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from ml import exclusions, targets
from ml.context import Context
from ml.labels import given
from ml.labels.overlay import instants
from ml.tables import DAY
from ml.targets import Floats
from ml.window import Window

EVER = datetime.min.replace(tzinfo=UTC)
Told = tuple[bool, datetime, str, Floats]  # whether a person said it, when, of which key, what


def known_labels(
    context: Context, keys: pa.Array, start: datetime, moment: datetime, *, version: int | None = None
) -> dict[str, Floats]:
    """Labels of some keys, as numbers, as known at a moment, in the order in which they became known; see `known`."""
    return {key: label for key, (_, label) in known(context, keys, start, moment, version=version).items()}


def known(
    context: Context, keys: pa.Array, start: datetime, moment: datetime, *, version: int | None = None
) -> dict[str, tuple[datetime, Floats]]:
    """The same, each with the moment at which it became known; EVER where nobody wrote that down.

    The source's label, or one that was given: a person's wins, and otherwise what came last counts. Labels of days that
    people took out are none. Looks at events from `history_days` before `start` on: a request about an older event is taken
    as without label.

    Args:
        keys: or what `names` calls rows without one, which only labels given by request are about.
    """
    earliest = (start - timedelta(days=context.problem.source.history_days)).date()
    held = _held(context, earliest, version)
    rows = exclusions.without(held, exclusions.days(context)) if held is not None else None
    told = list(_of_the_source(context, rows, keys, moment)) if rows is not None else []
    out = set() if held is None or rows is held else set(_keys(context, held)) - set(_keys(context, rows))
    told += [one for one in _of_others(context, earliest, keys, moment) if one[2] not in out]
    newest: dict[str, tuple[datetime, Floats]] = {}
    for _, at, key, label in sorted(told, key=lambda one: one[:2]):
        newest[key] = (at, label)
    return dict(sorted(newest.items(), key=lambda one: one[1][0]))


def _held(context: Context, earliest: date, version: int | None) -> pa.Table | None:
    source, table = context.problem.source, context.table("valid")
    newest = table.newest_day()
    if newest is None or newest < earliest:
        return None
    columns = [source.key, *source.labels, source.label_time, DAY]
    return table.read(Window(earliest, newest + timedelta(days=1)), columns=columns, version=version)


def _keys(context: Context, rows: pa.Table) -> list[str]:
    return list(rows[context.problem.source.key].cast(pa.string()).to_pylist())


def _of_the_source(context: Context, rows: pa.Table, keys: pa.Array, moment: datetime) -> Iterator[Told]:
    """Where a key stands twice the label that came last counts."""
    source = context.problem.source
    key, time = rows[source.key].cast(pa.string()), instants(rows[source.label_time], source.timezone)
    late = pc.fill_null(pc.greater(time, pa.scalar(moment, pa.timestamp("us", "UTC"))), False)
    wanted = pc.and_(targets.known(rows, context.problem), pc.and_not(pc.is_in(key, keys), late))
    found = pa.table({"key": key, "label": targets.column(rows, context.problem), "time": time}).filter(wanted)
    labels = targets.targets(found["label"], context.problem)
    for name, at, label in zip(found["key"].to_pylist(), found["time"].to_pylist(), labels, strict=True):
        yield False, at or EVER, name, label


def _of_others(context: Context, earliest: date, keys: pa.Array, moment: datetime) -> Iterator[Told]:
    labels = given.read(context, earliest)
    if not labels.num_rows:
        return
    named = pa.concat_tables([labels, given.by_place(labels)])
    wins = given.winning(context, named.filter(pc.is_in(named["_key"], keys)), moment)
    values = (
        targets.targets_of([json.loads(text) for text in wins["_label"].to_pylist()], context.problem) if wins.num_rows else ()
    )
    columns = (wins[name].to_pylist() for name in ("_source", "_at", "_key"))
    for whose, at, key, label in zip(*columns, values, strict=True):
        yield whose in given.PEOPLE, at, key, label
