"""The SQL that reads a table of production: what is selected, of which rows, and what is counted."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from psycopg2 import sql
from psycopg2.sql import Composable

from ml.problem import Problem

DELETED = "_deleted"
NUMBERS = {"smallint", "integer", "bigint", "real", "double precision", "numeric"}
TEXTS = {"text", "character varying", "character"}
MOMENTS = {"timestamp with time zone", "timestamp without time zone", "date"}
ACCEPTED = {  # what PostgreSQL may call a column of each type
    "number": NUMBERS,
    "boolean": {"boolean"},
    "datetime": MOMENTS,
    "category": TEXTS | NUMBERS | {"boolean"},
    "text": TEXTS,
    "zip": TEXTS,
    "key": TEXTS | NUMBERS | {"uuid"},
    "mark": MOMENTS | {"boolean"},
    "order": MOMENTS | NUMBERS,
}


def named(table: str) -> tuple[str, str]:
    """Schema and name of a table."""
    schema, _, name = table.rpartition(".")
    return schema or "public", name


@dataclass(frozen=True)
class Query:
    """Rows of a table whose moment lies in a span, as they were known at a moment.

    `wanted` are the columns with their types of the problem file, `types` all columns with PostgreSQL's. The connection's
    time zone must be UTC.
    """

    problem: Problem
    wanted: Mapping[str, str]
    types: Mapping[str, str]
    span: tuple[datetime, datetime]
    now: datetime

    @property
    def checked(self) -> dict[str, str]:
        """Every column that is used, with its type."""
        source = self.problem.source
        marks = {source.deleted: "mark", source.updated_at: "order"}
        return dict(self.wanted) | {name: kind for name, kind in marks.items() if name}

    @property
    def names(self) -> list[str]:
        """Columns of the result, in order."""
        return [*self.wanted, *([DELETED] if self.problem.source.deleted else [])]

    @property
    def table(self) -> Composable:
        """The table's name, quoted, with its schema: the role may search others first."""
        return sql.Identifier(*named(self.problem.source.table or ""))

    def rows(self, part: Composable | None = None, span: tuple[datetime, datetime] | None = None) -> Composable:
        """The SELECT; `part` is a further condition, `span` a shorter one."""
        where = [self._inside(*(span or self.span)), *self._known(), *([part] if part else [])]
        columns = [sql.SQL("{} AS {}").format(self._value(name), sql.Identifier(name)) for name in self.names]
        select = sql.SQL("SELECT {} FROM {} WHERE {}")
        order = self.problem.source.updated_at
        if not order:
            return select.format(sql.SQL(", ").join(columns), self.table, sql.SQL(" AND ").join(where))
        rank = sql.SQL("rank() OVER (PARTITION BY {} ORDER BY {} DESC NULLS LAST) AS _rank")
        key = sql.Identifier(self.problem.source.key)
        columns.append(rank.format(key, sql.Identifier(order)))
        versions = select.format(sql.SQL(", ").join(columns), self.table, sql.SQL(" AND ").join(where))
        names = sql.SQL(", ").join(sql.Identifier(name) for name in self.names)
        return sql.SQL("SELECT {} FROM ({}) AS versions WHERE _rank = 1 OR {} IS NULL").format(names, versions, key)

    def late(self, since: datetime) -> Composable:
        """How many rows of days before the span became known after `since`, and the first moment of them."""
        known = self._moment(self.problem.source.available_at or "")
        event = self._moment(self.problem.source.event_time)
        select = "SELECT count(*), min({event}) FROM {table} WHERE {known} > {since} AND {known} <= {now} AND {event} < {start}"
        literals = {"since": sql.Literal(since), "now": sql.Literal(self.now), "start": sql.Literal(self.span[0])}
        return sql.SQL(select).format(event=event, table=self.table, known=known, **literals)

    def _inside(self, start: datetime, end: datetime) -> Composable:
        """A row's moment is its event time; without one, when it became known, so that validation meets it.

        Rows that have neither come with the first part of the span, and so do those of no calendar: no window would hold them,
        and they would be lost without a word. Written so that an index on the event time finds all of them.
        """
        known, first = self.problem.source.available_at, start == self.span[0]
        event = sql.Identifier(self.problem.source.event_time)
        without = [self._between(known, start, end)] if known else []
        if first:
            never = sql.SQL("{0} IS NULL OR {0} = '-infinity'").format(sql.Identifier(known)) if known else sql.SQL("true")
            without.append(never)
        inside = [self._between(self.problem.source.event_time, start, end)]
        if without:
            inside.append(sql.SQL("{} IS NULL AND ({})").format(event, sql.SQL(" OR ").join(without)))
        if first:
            inside.append(sql.SQL("{} IN ('infinity', '-infinity')").format(event))
        return sql.SQL("({})").format(sql.SQL(" OR ").join(inside))

    def _between(self, name: str, start: datetime, end: datetime) -> Composable:
        bounds = {"start": sql.Literal(start), "end": sql.Literal(end)}
        return sql.SQL("({moment} >= {start} AND {moment} < {end})").format(moment=self._moment(name), **bounds)

    def _known(self) -> list[Composable]:
        known = self.problem.source.available_at
        if not known:
            return []
        return [sql.SQL("({} IS NULL OR {} <= {})").format(sql.Identifier(known), self._moment(known), sql.Literal(self.now))]

    def _moment(self, name: str) -> Composable:
        """A column as a moment; without an offset it is local to the problem."""
        column: Composable = sql.Identifier(name)
        if self.types.get(name) == "date":
            column = sql.SQL("{}::timestamp").format(column)
        if self.types.get(name) in ("date", "timestamp without time zone"):
            column = sql.SQL("({} AT TIME ZONE {})").format(column, sql.Literal(self.problem.source.timezone))
        return column

    def _value(self, name: str) -> Composable:
        source = self.problem.source
        if name == DELETED:
            return self._deleted(source.deleted or "")
        value: Composable = sql.Identifier(name)
        if self.wanted[name] == "datetime":
            value = self._moment(name)
        elif self.wanted[name] in ("category", "text", "zip", "key"):
            value = sql.SQL("{}::text").format(value)  # as a client would write it: true, not t; no padding
        elif self.wanted[name] == "number" and self.types.get(name) == "real":
            value = sql.SQL("{}::text::float8").format(value)  # 0.1 is 0.1, as whoever asks for a prediction writes it
        elif self.wanted[name] == "number":
            value = sql.SQL("{}::float8").format(value)
        if name in (*source.labels, source.label_time):
            known = sql.SQL("{} <= {}").format(self._moment(source.label_time), sql.Literal(self.now))
            value = sql.SQL("CASE WHEN {} THEN {} END").format(known, value)
        return value

    def _deleted(self, name: str) -> Composable:
        if self.types.get(name) == "boolean":
            return sql.SQL("coalesce({}, false)").format(sql.Identifier(name))
        return sql.SQL("coalesce({} <= {}, false)").format(self._moment(name), sql.Literal(self.now))
