"""The life of a contract: recorded first, following slow drift night by night, changed at once when a person accepts.

What the profiles know is a memory of about a month: each night the newest days are merged in and everything older counts a
little less, so that December is compared with autumn and not with January. Names, types and units never follow; they change by
acceptance or in the problem file only. A column with an open difference does not follow either, and because the newest days are
compared by themselves before they are merged in, a sudden change cannot slip in as drift, even if it begins with a single night.
Until a week of days is known, as when a backfill brings day after day, values are only recorded and not compared.
"""

from collections.abc import Collection, Mapping
from datetime import datetime

from ml.contract.record import SETTLED, Acceptance, Batch, Column, Contract, Difference, Pending
from ml.contract.types import family
from ml.problem import Problem
from ml.profile import ColumnProfile, merge_columns, scaled

Spread = tuple[float, float] | None
YEAR = 365  # nights in which the worst day fades
MEMORY = 30  # how many times the newest rows the memory counts at most


def record(
    problem: Problem, kinds: Mapping[str, str], types: Mapping[str, str], batch: Batch, *, at: datetime, run_key: str
) -> Contract:
    """The first contract: every column of the source, and how the declared ones look."""
    source = problem.source
    contract = Contract(
        recorded_at=at,
        run_key=run_key,
        zone=source.timezone,
        event_time=source.event_time,
        label=source.label,
        label_time=source.label_time,
        columns={name: Column(source_type=kind) for name, kind in types.items()},
    )
    return follow(contract, problem, kinds, batch)


def follow(
    contract: Contract, problem: Problem, kinds: Mapping[str, str], batch: Batch, differing: Collection[str] = ()
) -> Contract:
    """The contract after a night: the profiles move a little, new declarations are recorded.

    Args:
        kinds: the declared columns with their types, as `source.columns` tells them.
        differing: columns that stay as they are, because a difference is open.
    """
    enough = batch.num_rows >= problem.contract.minimum_rows
    newer = contract.through is None or (batch.last_day is not None and batch.last_day > contract.through)
    columns = dict(contract.columns)
    for name, declared in kinds.items():
        column, unit = columns.get(name, Column()), _unit(problem, name)
        profile, fresh = column.profile, column.profile is None or (column.declared, column.unit) != (declared, unit)
        if enough and name in batch.columns and name not in differing and (fresh or contract.young or newer):
            profile = _seen(contract, batch, name, None if fresh else profile)
        columns[name] = column.model_copy(update={"declared": declared, "unit": unit, "profile": profile})
    for name in set(columns) - set(kinds):  # no longer declared
        columns[name] = columns[name].model_copy(update={"declared": None, "unit": "", "profile": None})
    through = batch.last_day if newer and enough else contract.through
    days = tuple(sorted({*contract.days, *batch.days})[:SETTLED]) if enough and contract.young else contract.days
    return contract.model_copy(update={"columns": columns, "through": through, "days": days})


def _seen(contract: Contract, batch: Batch, name: str, before: ColumnProfile | None) -> ColumnProfile:
    """A column's profile after one more batch; a young one grows by all of it, a settled one moves by the newest days."""
    if before is None:
        return batch.columns[name]
    if contract.young and before.kind == batch.columns[name].kind:
        return merge_columns([before, batch.columns[name]], "")
    return _moved(before, _newest(contract, batch, name))


def retyped(contract: Contract, types: Mapping[str, str], ignore: Collection[str]) -> Contract:
    """The contract with what needs nobody's word: ignored columns as they are, and a type where there was no value before."""
    columns = {name: column for name, column in contract.columns.items() if name in types or name not in ignore}
    for name, kind in types.items():
        column = columns.get(name)
        if name in ignore or (column and column.source_type and family(column.source_type) == "nothing yet"):
            columns[name] = (column or Column()).model_copy(update={"source_type": kind})
    return contract.model_copy(update={"columns": columns})


def accept(
    contract: Contract, pending: Pending, only: Collection[str], *, who: str, why: str, at: datetime
) -> tuple[Contract, Pending | None]:
    """Take over the state that a run met, and remember who said so.

    Args:
        only: the columns that are accepted; all when empty.
    Returns: the new contract, and the differences that are still open.
    """
    taken = tuple(one for one in pending.differences if not only or one.column in only)
    rest = tuple(one for one in pending.differences if one not in taken)
    columns = dict(contract.columns)
    for difference in taken:
        _take(columns, difference, contract, pending)
    ordered = {name: columns[name] for name in (*pending.types, *columns) if name in columns}
    entry = Acceptance(at=at, who=who, why=why, run_key=pending.run_key, differences=taken)
    accepted = contract.model_copy(update={"columns": ordered, "accepted": (*contract.accepted, entry)})
    return accepted, pending.model_copy(update={"differences": rest}) if rest else None


def _take(columns: dict[str, Column], difference: Difference, contract: Contract, pending: Pending) -> None:
    """Change the columns as one difference says."""
    name, types = difference.column, pending.types
    if difference.kind == "renamed":
        new = difference.hypotheses[0].cause.removeprefix("renamed to ")
        columns[new] = columns.pop(name).model_copy(update={"source_type": types[new]})
    elif difference.kind == "removed":
        del columns[name]
    elif difference.kind in ("added", "retyped"):
        columns[name] = columns.get(name, Column()).model_copy(update={"source_type": types[name]})
    elif pending.batch is not None:
        moments = [n for n, column in pending.batch.columns.items() if column.kind == "datetime"]
        for each in {name, *(moments if name in moments else [])}:  # moments are told by their distance from one another
            if each in columns:
                profile, since = _newest(contract, pending.batch, each), pending.batch.recent_day
                columns[each] = columns[each].model_copy(update={"profile": profile, "since": since})


def _newest(contract: Contract, batch: Batch, name: str) -> ColumnProfile:
    """The newest days of a column; of labels, which the newest days lack, all of the window."""
    return batch.columns[name] if batch.recent is None or name in contract.late else batch.recent.columns[name]


def _moved(profile: ColumnProfile | None, newest: ColumnProfile) -> ColumnProfile:
    """A memory with the newest rows merged in; the older ones make room."""
    if profile is None or profile.kind != newest.kind or not newest.num_rows:
        return newest if profile is None or newest.num_rows else profile
    room = (MEMORY - 1) * newest.num_rows
    kept = scaled(profile, room / profile.num_rows) if profile.num_rows > room else profile
    faded = {name: _faded(getattr(kept, name), getattr(newest, name)) for name in ("day_nulls", "day_medians")}
    kept = kept.model_copy(update=faded)
    return merge_columns([kept, newest], "")


def _faded(spread: Spread, newest: Spread) -> Spread:
    """What days were like at most, a little nearer to the newest: an outage is not the measure for ever."""
    if spread is None or newest is None:
        return spread
    return spread[0] + (newest[0] - spread[0]) / YEAR, spread[1] + (newest[1] - spread[1]) / YEAR


def _unit(problem: Problem, name: str) -> str:
    return problem.features[name].unit if name in problem.features else ""
