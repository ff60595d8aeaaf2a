"""Given labels put in the place of those that the source has, row by row: pure."""

import json

import pyarrow as pa
import pyarrow.compute as pc

from ml import targets
from ml.labels.given import MOMENT, PEOPLE
from ml.problem import Problem

SOURCE = "_label_source"  # column that says whose label a row has


def overlaid(rows: pa.Table, given: pa.Table, problem: Problem) -> pa.Table:
    """The rows with the labels that count, and in the column SOURCE whose they are: `source`, or a given label's own.

    A person's label wins over the source's; of the source and a program the one that became known last. Both kinds only
    where the given label exists.

    Args:
        rows: with the columns of key, labels and label time.
        given: one label per key, from `winning`.
    """
    place = pc.index_in(rows[problem.source.key].cast(pa.string()), value_set=given["_key"].combine_chunks())
    person = pc.is_in(given["_source"], value_set=pa.array(PEOPLE))
    own = instants(rows[problem.source.label_time], problem.source.timezone)
    newer = pc.and_(targets.known(rows, problem), pc.fill_null(pc.greater(own, given["_at"].take(place)), False))
    wins = pc.and_(pc.is_valid(place), pc.or_(pc.fill_null(person.take(place), False), pc.invert(newer)))
    values = [json.loads(text) for text in given["_label"].to_pylist()]
    for name in problem.source.labels:
        told = [value[name] if problem.task.several else value for value in values]
        kind = rows.schema.field(name).type
        taken = pa.chunked_array([pa.array(told).cast(kind)]).take(place) if told else pa.nulls(rows.num_rows, kind)
        rows = rows.set_column(rows.column_names.index(name), name, pc.if_else(wins, taken, rows[name]))
    whose = pc.if_else(wins, given["_source"].take(place), pa.scalar("source"))
    return rows.append_column(SOURCE, whose)


def instants(column: pa.ChunkedArray, zone: str) -> pa.ChunkedArray:
    """Moments in UTC; a time without zone is local to the problem."""
    if pa.types.is_timestamp(column.type) and column.type.tz is None:
        column = pc.assume_timezone(column, zone, ambiguous="latest", nonexistent="latest")
    return column.cast(MOMENT)
