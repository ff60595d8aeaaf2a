"""Profiles of the days of `valid`, one small file each: what a new day is compared with, and what pages show beside it."""

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ml import source
from ml.context import Context
from ml.profile import Profile, Profiler
from ml.tables import DAY
from ml.window import Window

FOLDER = "profiles/valid"


class DayProfiler:
    """Profiles of single days from batches that may hold rows of several."""

    def __init__(self, context: Context, days: Iterable[date]) -> None:
        about = context.problem.source
        kinds = source.columns(context.problem)
        self._days = {str(day): Profiler(kinds, about.timezone, event_time=about.event_time) for day in days}

    def add(self, rows: pa.RecordBatch | pa.Table) -> None:
        """Count the rows of the days asked for."""
        for day in pc.unique(rows.column(DAY)).to_pylist():
            if day in self._days:
                self._days[day].add(rows.filter(pc.equal(rows.column(DAY), day)))

    def result(self) -> dict[date, Profile]:
        """The profiles; days without rows have an empty one."""
        return {date.fromisoformat(day): profiler.result() for day, profiler in self._days.items()}


def profiles(context: Context, days: Iterable[date]) -> dict[date, Profile]:
    """Profiles of those days that have rows in `valid`; what is missing or was changed since is computed and kept."""
    files = context.table("valid").files() if context.table("valid").exists else {}
    wanted = [day for day in sorted(set(days)) if day in files]
    found = {day: profile for day in wanted if (profile := _held(context, day, files[day])) is not None}
    for window in _spans(day for day in wanted if day not in found):
        profiler = DayProfiler(context, window)
        for batch in context.table("valid").batches(window):
            profiler.add(batch)
        found |= keep(context, profiler.result(), files)
    return dict(sorted(found.items()))


def keep(context: Context, found: Mapping[date, Profile], files: Mapping[date, frozenset[str]]) -> dict[date, Profile]:
    """Write profiles of days as they stand in the table; those of days without rows are left out."""
    kept = {day: profile for day, profile in found.items() if day in files}
    for day, profile in kept.items():
        context.store.write_json(_name(day), _about(context, files[day]) | {"profile": profile.model_dump(mode="json")})
    return kept


def _held(context: Context, day: date, files: frozenset[str]) -> Profile | None:
    """What is kept about a day, if it is about just these files and columns."""
    if not context.store.exists(_name(day)):
        return None
    content: dict[str, Any] = context.store.read_json(_name(day))
    profile = content.pop("profile")
    return Profile.model_validate_json(json.dumps(profile)) if content == _about(context, files) else None


def _about(context: Context, files: frozenset[str]) -> dict[str, Any]:
    return {"files": sorted(files), "columns": dict(source.columns(context.problem)), "zone": context.problem.source.timezone}


def _name(day: date) -> str:
    return f"{FOLDER}/{day}.json"


def _spans(days: Iterable[date]) -> Iterator[Window]:
    """Runs of days as windows, each read at once."""
    start: date | None = None
    last: date | None = None
    for day in days:
        if last is not None and start is not None and day != last + timedelta(days=1):
            yield Window(start, last + timedelta(days=1))
            start = None
        start, last = start or day, day
    if start is not None and last is not None:
        yield Window(start, last + timedelta(days=1))
