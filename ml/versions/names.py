"""What a person calls a version: its number, `raw@12`, the run that read or wrote it, or `newest`."""

import difflib
import re
from dataclasses import dataclass
from datetime import date, timedelta

from ml import past
from ml.context import Context
from ml.errors import ConfigError, DataError
from ml.past import TableName
from ml.tables import Table
from ml.window import Window

TABLES: tuple[TableName, ...] = ("raw", "valid", "quarantine")
NEWEST = "newest"


@dataclass(frozen=True)
class Ref:
    """A version of one table, and what it was called."""

    table: TableName
    version: int
    said: str

    def __str__(self) -> str:
        own = f"{self.table}@{self.version}"
        return own if self.said in (own, str(self.version)) else f"{own} ({self.said})"


def resolve(context: Context, said: str, table: TableName | None = None) -> Ref:
    """Find the version that `12`, `raw@12`, `raw@newest` or a run key means; without a table `raw` is meant.

    Raises: ConfigError: the table named in `said` is another one than `table`. DataError: there is no such version or run.
    """
    about, at, rest = said.partition("@")
    if at and about not in TABLES:
        raise ConfigError(f"{said!r} names no table. Write one of {', '.join(f'{name}@12' for name in TABLES)}, or a run.")
    if at and table not in (None, about):
        raise ConfigError(f"{said!r} is no version of {table}; both must be of one table.")
    name: TableName = about if at else table or "raw"  # type: ignore[assignment]  # checked above
    number = rest if at else said
    newest = context.table(name).version
    if number == NEWEST:
        return Ref(name, newest, said)
    if re.fullmatch(r"\d+", number):
        if int(number) > newest:
            raise DataError(f"Table {name} of {context.problem.name} has no version {number}; the newest is {newest}.")
        return Ref(name, int(number), said)
    return Ref(name, _of_run(context, number, name), said)


def every_day(table: Table, *versions: int) -> Window | None:
    """The window from the first day that any of the versions holds to the last, None when they hold none."""
    days: list[date] = [day for version in versions for day in table.files(version)]
    return Window(min(days), max(days) + timedelta(days=1)) if days else None


def _of_run(context: Context, run_key: str, table: TableName) -> int:
    run = past.run_of(context, run_key)
    version = run.read(table)
    if version is not None:
        return version
    if run.ingested is not None:
        raise DataError(f"Run {run_key} recorded no version of `{table}`: it did not come that far.")
    known = [one.run_key for one in past.runs(context)]
    near = difflib.get_close_matches(run_key, known, n=3, cutoff=0.4) or known[-3:]
    raise DataError(
        f"{run_key!r} is no version and no run of {context.problem.name} that read data. Write a number, {table}@12, "
        f"{NEWEST}, or a run such as {', '.join(near) or 'night-2013-02-01'}."
    )
