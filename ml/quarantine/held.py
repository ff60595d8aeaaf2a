"""What lies in quarantine, with the name of each row and what was decided about it."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ml.context import Context
from ml.errors import DataError
from ml.tables import DAY
from ml.window import Window

RULES, RUN = "_rules", "_run_key"
ORDER = "_order"  # of a decision among all: nanoseconds of the wall clock
DIGEST_LENGTH = 16  # characters of a row's name; 64 bits tell the rows of a quarantine apart
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Choice:
    """Which rows are meant; what is left out means all."""

    window: Window | None = None
    rule: str = ""  # part of a rule's name, in any case
    key: str = ""
    row: str = ""  # beginning of a row's name
    discarded: bool = False  # those that were discarded too


@dataclass(frozen=True)
class Held:
    """Quarantined rows side by side with their names and the newest decision about each."""

    key: str  # column that names a row
    rows: pa.Table
    names: tuple[str, ...]
    decided: dict[str, dict[str, Any]]  # by name; the newest

    @cached_property
    def days(self) -> list[str]:
        """Day of each row."""
        return list(self.rows[DAY].to_pylist())

    @cached_property
    def keys(self) -> list[str]:
        """Key of each row, as text."""
        return [str(key) for key in self.rows[self.key].to_pylist()]

    @cached_property
    def rules(self) -> list[list[str]]:
        """Rules that each row broke."""
        return [rules or [] for rules in self.rows[RULES].to_pylist()]

    @cached_property
    def states(self) -> list[str]:
        """`open`, or `discarded` when the newest decision about exactly this row says so."""
        newest = (self.decided.get(name, {}).get("_decision") for name in self.names)
        return ["discarded" if decision == "discard" else "open" for decision in newest]

    def chosen(self, choice: Choice) -> Mask:
        """Which of the rows are meant."""
        meant = [
            (choice.discarded or state == "open")
            and (not choice.key or key == choice.key)
            and name.startswith(choice.row)
            and (not choice.rule or any(choice.rule.lower() in rule.lower() for rule in rules))
            for state, key, name, rules in zip(self.states, self.keys, self.names, self.rules, strict=True)
        ]
        return np.array(meant, dtype=bool)

    def only(self, mask: Mask) -> "Held":
        """Part of the rows."""
        kept = [name for name, keep in zip(self.names, mask, strict=True) if keep]
        return replace(self, rows=self.rows.filter(pa.array(mask)), names=tuple(kept))


def held(context: Context, window: Window | None = None) -> Held:
    """The quarantine as it is now.

    Raises: DataError: there is none yet.
    """
    table, key = context.table("quarantine"), context.problem.source.key
    if not table.exists:
        raise DataError(f"{context.problem.name} has no quarantine yet; the first night that validates rows makes it.")
    return name_rows(key, table.read(span(context, window)), newest(past(context, window)))


def name_rows(key: str, rows: pa.Table, decided: dict[str, dict[str, Any]]) -> Held:
    """Rows of the quarantine with their names, oldest day first."""
    ordered = rows.sort_by([(DAY, "ascending"), (key, "ascending")])
    return Held(key, ordered, tuple(digests(ordered)), decided)


def span(context: Context, window: Window | None) -> Window:
    """The days that were asked for, else all that have quarantined rows."""
    days = context.table("quarantine").days()
    return window or (Window(days[0], days[-1] + timedelta(days=1)) if days else Window(date(1, 1, 1), date(1, 1, 2)))


def past(context: Context, window: Window | None = None) -> pa.Table | None:
    """Every decision about rows of these days, oldest first; None before the first decision."""
    table = context.table("decisions")
    if not table.exists:
        return None
    days = table.days()
    every = Window(days[0], days[-1] + timedelta(days=1)) if days else Window(date(1, 1, 1), date(1, 1, 2))
    return table.read(window or every).sort_by([(ORDER, "ascending")])


def newest(decisions: pa.Table | None) -> dict[str, dict[str, Any]]:
    """The newest decision per row's name."""
    return {one["_digest"]: one for one in (decisions.to_pylist() if decisions else [])}


def digests(rows: pa.Table) -> list[str]:
    """A name for each row, made of its own columns; a row that changes at the source gets another one.

    Missing values are left out, so that a column that is added to the table later changes no name.
    """
    own = sorted(name for name in rows.column_names if not name.startswith("_"))
    columns = [_plain(rows[name]) for name in own]
    return [_digest(dict(zip(own, values, strict=True))) for values in zip(*columns, strict=True)]


def _digest(values: dict[str, Any]) -> str:
    known = {name: value for name, value in values.items() if value is not None}
    return hashlib.sha256(json.dumps(known, sort_keys=True, default=str).encode()).hexdigest()[:DIGEST_LENGTH]


def _plain(column: pa.ChunkedArray) -> Iterable[Any]:
    """Values as JSON has them; moments as microseconds, because not all of them are datetimes of Python."""
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("us", column.type.tz)).cast(pa.int64())
    return list(column.to_pylist())
