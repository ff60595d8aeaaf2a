"""Plays history into a production table: at any moment the table holds what was known by then, and no more."""

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pacsv
from psycopg2 import errors as pg
from psycopg2 import sql

from ml import database
from ml.errors import ConfigError

SCHEMA = "replay"
READER = "evergreen_reader"
NEVER = datetime(1, 1, 1, tzinfo=UTC)
BATCH_ROWS = 20_000
TYPES = {
    pa.string(): "text",
    pa.bool_(): "boolean",
    pa.int32(): "integer",
    pa.float64(): "double precision",
    pa.timestamp("us", tz="UTC"): "timestamptz",
}


@dataclass(frozen=True)
class Sample:
    """A history to replay.

    `read` builds all of it in memory, one row per `key`; `outcomes` are the columns that stay null until
    `label_time`, which is one of them.
    """

    name: str
    key: str
    event_time: str
    available_at: str
    label_time: str
    outcomes: tuple[str, ...]
    first_night: date
    read: Callable[[Path | str | None], pa.Table]

    @property
    def history(self) -> sql.Identifier:
        """The table that holds everything, also what is still to come."""
        return sql.Identifier(SCHEMA, self.name)

    @property
    def production(self) -> sql.Identifier:
        """The table that the pipeline reads."""
        return sql.Identifier("public", self.name)


@dataclass(frozen=True)
class Advanced:
    """One move of the production table."""

    num_new: int
    num_outcomes: int


def load(sample: Sample, url: str, data: Path | str | None) -> int:
    """Put the whole history into the database and an empty production table beside it; returns the number of rows.

    One transaction: whatever was loaded before stays until the new history is in whole.

    Raises: DataError, ConfigError: the history cannot be read, see the sample.
    """
    history = sample.read(data)
    with _transaction(url) as cursor:
        cursor.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(SCHEMA)))
        clock = sql.SQL("CREATE TABLE IF NOT EXISTS {} (sample text PRIMARY KEY, at timestamptz NOT NULL)")
        cursor.execute(clock.format(sql.Identifier(SCHEMA, "clock")))
        _create(cursor, sample.history, history.schema)
        copy = sql.SQL("COPY {} FROM STDIN WITH (FORMAT csv, FREEZE)").format(sample.history)
        cursor.copy_expert(copy.as_string(cursor), io.BufferedReader(_Csv(history), 1 << 20))
        for column in (sample.event_time, sample.available_at, sample.label_time):
            index = sql.SQL("CREATE INDEX ON {} ({})")
            cursor.execute(index.format(sample.history, sql.Identifier(column)))
        cursor.execute(sql.SQL("ALTER TABLE {} ADD PRIMARY KEY ({})").format(sample.history, sql.Identifier(sample.key)))
        cursor.execute(sql.SQL("ANALYZE {}").format(sample.history))
        _create_production(cursor, sample, history.schema)
        _set_clock(cursor, sample, NEVER)
    return int(history.num_rows)


def advance(sample: Sample, url: str, to: datetime) -> Advanced:
    """Move the production table to what was known at `to`, in one transaction.

    Forward inserts rows that became available and fills in outcomes that became known; backward refills the table.
    The same moment twice changes nothing.

    Raises: ConfigError: `to` has no offset, or the history was never loaded.
    """
    if to.tzinfo is None:
        raise ConfigError(f"Cannot move {sample.name} to {to}: the time has no offset. Add one, for example +00:00.")
    with _transaction(url) as cursor:
        at = _lock_clock(cursor, sample)
        if to < at:
            cursor.execute(sql.SQL("TRUNCATE {}").format(sample.production))
            at = NEVER
        filled = _fill_outcomes(cursor, sample, at, to)
        moved = _insert(cursor, sample, at, to)
        _set_clock(cursor, sample, to)
    return Advanced(num_new=moved.num_new, num_outcomes=filled + moved.num_outcomes)


def rows(sample: Sample, url: str, span: tuple[datetime, datetime], columns: Sequence[str]) -> list[dict[str, Any]]:
    """Key and `columns` of the rows whose event falls into the half-open span, as JSON values, oldest first."""
    query = sql.SQL("SELECT {} FROM {} WHERE {time} >= %s AND {time} < %s ORDER BY {time}, {key}").format(
        sql.SQL(", ").join(sql.Identifier(name) for name in [sample.key, *columns]),
        sample.history,
        time=sql.Identifier(sample.event_time),
        key=sql.Identifier(sample.key),
    )
    with _transaction(url) as cursor:
        try:
            cursor.execute(query, span)
        except pg.UndefinedTable as error:
            raise _not_loaded(sample) from error
        found = cursor.fetchall()
    return [dict(zip([sample.key, *columns], map(_json, row), strict=True)) for row in found]


@contextmanager
def _transaction(url: str) -> Iterator[Any]:
    """A cursor whose work is kept when the block ends well, and undone otherwise."""
    with closing(database.connect(url)) as connection, connection, connection.cursor() as cursor:
        yield cursor


def first_night(sample: Sample, url: str) -> date:
    """The sample's own first night, or, for a history of other years, the day when half of its labels are known.

    Raises: ConfigError: the history was never loaded, or it has no label.
    """
    query = sql.SQL(
        "SELECT count(*) FILTER (WHERE {time} <= %(night)s), count({time}),"
        " (percentile_disc(0.5) WITHIN GROUP (ORDER BY {time}) AT TIME ZONE 'UTC')::date FROM {history}"
    ).format(time=sql.Identifier(sample.label_time), history=sample.history)
    with _transaction(url) as cursor:
        try:
            cursor.execute(query, {"night": sample.first_night})
        except pg.UndefinedTable as error:
            raise _not_loaded(sample) from error
        num_known, num_labels, middle = cursor.fetchone()
    if middle is None:
        raise ConfigError(
            f"The history of {sample.name} has no row with a label, so nothing can be learned from it. Load another one."
        )
    return sample.first_night if 0 < num_known < num_labels else middle


class _Csv(io.RawIOBase):
    """A table as CSV, made batch by batch while it is read; null is an empty field, an empty text is `""`."""

    def __init__(self, table: pa.Table) -> None:
        self._batches: Iterator[pa.RecordBatch] = iter(table.to_batches(max_chunksize=BATCH_ROWS))
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill `buffer`; 0 at the end."""
        if not self._rest and (batch := next(self._batches, None)) is not None:
            text = io.BytesIO()
            pacsv.write_csv(batch, text, pacsv.WriteOptions(include_header=False))
            self._rest = text.getbuffer()
        size = min(len(buffer), len(self._rest))
        buffer[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size


def _create(cursor: Any, table: sql.Identifier, schema: pa.Schema) -> None:
    columns = sql.SQL(", ").join(
        sql.SQL("{} {}").format(sql.Identifier(field.name), sql.SQL(TYPES[field.type])) for field in schema
    )
    cursor.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(table))
    cursor.execute(sql.SQL("CREATE TABLE {} ({})").format(table, columns))


def _create_production(cursor: Any, sample: Sample, schema: pa.Schema) -> None:
    _create(cursor, sample.production, schema)
    cursor.execute(sql.SQL("ALTER TABLE {} ADD PRIMARY KEY ({})").format(sample.production, sql.Identifier(sample.key)))
    cursor.execute(sql.SQL("CREATE INDEX ON {} ({})").format(sample.production, sql.Identifier(sample.event_time)))
    cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (READER,))
    if cursor.fetchone():  # a fresh table has no rights but its owner's
        cursor.execute(sql.SQL("GRANT SELECT ON {} TO {}").format(sample.production, sql.Identifier(READER)))


def _set_clock(cursor: Any, sample: Sample, at: datetime) -> None:
    upsert = sql.SQL("INSERT INTO {} VALUES (%s, %s) ON CONFLICT (sample) DO UPDATE SET at = excluded.at")
    cursor.execute(upsert.format(sql.Identifier(SCHEMA, "clock")), (sample.name, at))


def _lock_clock(cursor: Any, sample: Sample) -> datetime:
    """The moment the production table stands at; a second mover waits here until the first is done."""
    try:
        query = sql.SQL("SELECT at FROM {} WHERE sample = %s FOR UPDATE")
        cursor.execute(query.format(sql.Identifier(SCHEMA, "clock")), (sample.name,))
    except pg.UndefinedTable as error:
        raise _not_loaded(sample) from error
    found = cursor.fetchone()
    if found is None:
        raise _not_loaded(sample)
    return found[0]  # type: ignore[no-any-return]  # the column is a timestamptz


def _not_loaded(sample: Sample) -> ConfigError:
    return ConfigError(
        f"There is no history of {sample.name} to replay in this database. "
        f"Load it first: ml.samples.load({sample.name!r}, url, data)."
    )


def _fill_outcomes(cursor: Any, sample: Sample, at: datetime, to: datetime) -> int:
    """Outcomes of rows that are in the table already."""
    update = sql.SQL(
        "UPDATE {production} p SET {values} FROM {history} h WHERE p.{key} = h.{key}"
        " AND h.{label_time} > %(at)s AND h.{label_time} <= %(to)s AND h.{available_at} <= %(at)s"
    ).format(
        values=sql.SQL(", ").join(sql.SQL("{0} = h.{0}").format(sql.Identifier(name)) for name in sample.outcomes),
        **_names(sample),
    )
    cursor.execute(update, {"at": at, "to": to})
    return int(cursor.rowcount)


def _insert(cursor: Any, sample: Sample, at: datetime, to: datetime) -> Advanced:
    """Rows that became available, with their outcomes where these are known by now."""
    cursor.execute(sql.SQL("SELECT * FROM {} LIMIT 0").format(sample.history))
    names = [column.name for column in cursor.description]
    values = sql.SQL(", ").join(
        sql.SQL("CASE WHEN {} <= %(to)s THEN {} END").format(sql.Identifier(sample.label_time), sql.Identifier(name))
        if name in sample.outcomes
        else sql.Identifier(name)
        for name in names
    )
    insert = sql.SQL(
        "WITH moved AS (INSERT INTO {production} ({columns}) SELECT {values} FROM {history}"
        " WHERE {available_at} > %(at)s AND {available_at} <= %(to)s"
        " ON CONFLICT ({key}) DO NOTHING RETURNING {label_time})"  # a row put there by hand stays as it is
        " SELECT count(*), count({label_time}) FROM moved"
    ).format(columns=sql.SQL(", ").join(map(sql.Identifier, names)), values=values, **_names(sample))
    cursor.execute(insert, {"at": at, "to": to})
    num_new, num_outcomes = cursor.fetchone()
    return Advanced(num_new, num_outcomes)


def _names(sample: Sample) -> dict[str, sql.Composable]:
    return {
        "production": sample.production,
        "history": sample.history,
        "key": sql.Identifier(sample.key),
        "label_time": sql.Identifier(sample.label_time),
        "available_at": sql.Identifier(sample.available_at),
    }


def _json(value: Any) -> Any:
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else value
