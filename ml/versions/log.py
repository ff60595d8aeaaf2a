"""The history of a table in words: who wrote each version, which days, how many rows came and went, which models used it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime

from ml import past
from ml.context import Context
from ml.past import TableName
from ml.tables import Commit, Table
from ml.window import Window

EVER = Window(date.min, date.max)
State = tuple[Mapping[date, frozenset[str]], Mapping[str, int]]


@dataclass(frozen=True)
class Line:
    """One version.

    Attributes:
        days: those whose rows were written anew.
        written: rows these days hold now; `replaced` those they held before.
        models: registered versions that were made from this version of the table.
    """

    version: int
    at: datetime
    stage: str
    run_key: str
    days: tuple[date, ...]
    written: int
    replaced: int
    models: tuple[int, ...]

    @property
    def words(self) -> str:
        """What happened to the rows."""
        if not self.days:
            return "no rows changed"
        what = f"{self.written:,} rows" + (f" in place of {self.replaced:,}" if self.replaced else " added")
        net = self.written - self.replaced
        return f"{what} ({net:+,})" if self.replaced and net else what


def log(context: Context, table: TableName, *, limit: int = 20) -> list[Line]:
    """The newest versions first.

    Raises: DataError: nothing was written yet.
    """
    held = context.table(table)
    commits = sorted(held.history(), key=lambda commit: -commit.version)[:limit]
    users = _users(context, table)
    about = {commit.version for commit in commits} | {commit.version - 1 for commit in commits}
    states = {version: _state(held, version) for version in about}
    return [_line(commit, states, users.get(commit.version, ())) for commit in commits]


def changed_days(before: Mapping[date, frozenset[str]], after: Mapping[date, frozenset[str]]) -> list[date]:
    """Days whose files are not the same, sorted."""
    return sorted(day for day in before.keys() | after.keys() if before.get(day) != after.get(day))


def _line(commit: Commit, states: Mapping[int, State], models: Iterable[int]) -> Line:
    (before, earlier), (after, now) = states[commit.version - 1], states[commit.version]
    days = changed_days(before, after)
    stage, run_key = commit.note.get("stage", commit.operation.lower()), commit.note.get("run_key", "")
    written, replaced = (sum(counts.get(str(day), 0) for day in days) for counts in (now, earlier))
    return Line(commit.version, commit.at, stage, run_key, tuple(days), written, replaced, tuple(models))


def _state(table: Table, version: int) -> State:
    """Files and rows per day; none before the first version."""
    return (table.files(version), table.num_rows(EVER, version=version)) if version >= 0 else ({}, {})


def _users(context: Context, table: TableName) -> dict[int, list[int]]:
    """Registered versions per version of the table; those that MLflow alone knows are left out while it is away."""
    found: dict[int, list[int]] = {}
    for model, run_key in past.models(context, patient=True).items():
        version = past.run_of(context, run_key).read(table)
        if version is not None:
            found.setdefault(version, []).append(model)
    return found
