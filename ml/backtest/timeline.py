"""The table `valid` as it stood on every night: one Delta version a night, made once and shared by all policies.

A policy's replay does not read this table. It has one of its own, whose log holds the commits up to its night and no others
(`reveal`): what was not known yet is not there to be read, whichever stage asks, and by whatever version.
"""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ml import window
from ml.backtest import history
from ml.problem import Problem
from ml.tables import DAY, Table
from ml.window import Window, local_day

NIGHTS = "nights.json"
LOG = "_delta_log"


@dataclass(frozen=True)
class Night:
    """One night: its moment, the next night's, the days that were read, and the version of `valid` after it."""

    at: datetime
    until: datetime
    read: Window
    version: int
    num_rows: int

    @property
    def name(self) -> str:
        """The day it is the night of, as in the name of a run."""
        return str(self.at.date())


def build(folder: Path, past: Path, nights: Sequence[tuple[datetime, datetime]], problem: Problem) -> list[Night]:
    """Write the versions that are not there yet; killed anywhere and called again, it goes on.

    Args:
        past: the file of `history.write`.
        nights: each with the moment of the next one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    made = _made(folder)
    if len(made) == len(nights):
        return made
    rows = pq.read_table(past).drop_columns([history.ASKED])
    day = pc.cast(rows[DAY], pa.string())
    first = date.fromisoformat(pc.min(day).as_py())
    table = Table(folder / "valid")
    for at, until in nights[len(made) :]:
        read = _read(at, made[-1].read if made else None, first, problem)
        inside = pc.and_(pc.greater_equal(day, str(read.start)), pc.less(day, str(read.end)))
        known = history.known_at(rows.filter(inside), at, problem)
        version = table.replace(read, known, note={"night": str(at.date())})
        made.append(Night(at, until, read, version, known.num_rows))
        _keep(folder, made)
    return made


def _read(at: datetime, before: Window | None, first: date, problem: Problem) -> Window:
    """The days that a night reads: all at first, as if nights had gone before; then those that `ml.window` names."""
    about = problem.source
    today = local_day(at, about.timezone)
    return window.resolve(
        None,
        now=at,
        zone=about.timezone,
        newest=date.fromordinal(before.end.toordinal() - 1) if before else None,
        history_days=max((today - first).days, 1),
        lookback_days=about.lookback_days,
    )


def reveal(folder: Path, own: Path, night: Night) -> None:
    """Bring a policy's own table up to a night: the commits up to it, and the days by link. It never goes back."""
    shared = folder / "valid"
    (own / LOG).mkdir(parents=True, exist_ok=True)
    for day in shared.glob(f"{DAY}=*"):
        if day.name < f"{DAY}={night.read.end}" and not (own / day.name).is_symlink():
            (own / day.name).symlink_to(day.resolve(), target_is_directory=True)
    held = len(list((own / LOG).glob("*.json")))
    for number in range(held, night.version + 1):
        name = f"{number:020}.json"
        shutil.copyfile(shared / LOG / name, own / LOG / f"{name}.new")
        (own / LOG / f"{name}.new").replace(own / LOG / name)


def _made(folder: Path) -> list[Night]:
    if not (folder / NIGHTS).exists():
        return []
    return [_night(**one) for one in json.loads((folder / NIGHTS).read_text())]


def _night(at: str, until: str, read: str, version: int, num_rows: int) -> Night:
    return Night(datetime.fromisoformat(at), datetime.fromisoformat(until), Window.parse(read), version, num_rows)


def _keep(folder: Path, made: Sequence[Night]) -> None:
    told = [vars(one) | {"at": one.at.isoformat(), "until": one.until.isoformat(), "read": str(one.read)} for one in made]
    (folder / f"{NIGHTS}.new").write_text(json.dumps(told))
    (folder / f"{NIGHTS}.new").replace(folder / NIGHTS)
