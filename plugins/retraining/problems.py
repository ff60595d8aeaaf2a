"""The problem files as far as DAGs need them: names, people, times. `ml.problem` reads and judges the rest at run time.

A file is read here without `ml`, because every parse of every DAG file would pay for the import.
"""

import os
import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from airflow.sdk import CronTriggerTimetable
from airflow.sdk.exceptions import AirflowTimetableInvalid

# what a DAG needs to know, by section of the file; all else is read at run time
SECTIONS = {
    "problem": ("name", "title", "owner", "description"),
    "source": ("timezone",),
    "gate": ("approval", "approval_hours", "approvers"),
    "schedule": ("retrain", "monitor", "feedback", "housekeeping"),
}
NAME = r"[a-z][a-z0-9_]{0,39}"
PROJECT = Path(__file__).resolve().parents[2]


class ProblemFileError(Exception):
    """A problem file no DAG can be made from; the message names the file, what is wrong and how to mend it."""


@dataclass(frozen=True)
class ProblemFile:
    """What a DAG shows and when it runs; the defaults are those of `ml.problem`."""

    name: str
    title: str = ""
    owner: str = "airflow"
    description: str = ""
    timezone: str = "UTC"
    retrain: str = "0 3 * * *"
    monitor: str = "30 5 * * *"
    feedback: str = "0 2 * * *"
    housekeeping: str = "0 5 * * 0"
    approval: str = "manual"
    approval_hours: int = 72
    approvers: Sequence[str] = ()

    def __post_init__(self) -> None:
        for field, value in vars(self).items():
            if field not in ("approval_hours", "approvers") and not isinstance(value, str):
                raise ProblemFileError(f"{field} = {value!r} is no text. Put it in quotes.")
        if not isinstance(self.approvers, list | tuple) or not all(isinstance(one, str) and one for one in self.approvers):
            raise ProblemFileError(f'[gate] approvers = {self.approvers!r} is no list of users. Write for example ["anna"].')
        if isinstance(self.approval_hours, bool) or not isinstance(self.approval_hours, int) or self.approval_hours < 1:
            raise ProblemFileError(
                f"[gate] approval_hours = {self.approval_hours!r} is no number of hours. Write for example 72."
            )
        if self.approval not in ("auto", "manual"):
            raise ProblemFileError(f'[gate] approval = {self.approval!r} is unknown. Write "auto" or "manual".')
        if not re.fullmatch(NAME, self.name):
            raise ProblemFileError(f"[problem] name = {self.name!r} cannot name a DAG. Use a-z, 0-9 and _, at most 40.")
        _demand_timezone(self.timezone)
        for field in SECTIONS["schedule"]:
            _demand_cron(field, getattr(self, field))


def folder() -> Path:
    """Where problem files lie: `EVERGREEN_PROBLEMS`, or the ones that come with the system."""
    return Path(os.environ.get("EVERGREEN_PROBLEMS") or PROJECT / "ml" / "problems")


def read(path: Path) -> ProblemFile:
    """One problem file.

    Raises: ProblemFileError: it cannot be read, is no TOML, or lacks what a DAG needs; the message begins with the path.
    """
    try:
        return _from_content(tomllib.loads(path.read_text(encoding="utf-8")), path.stem)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ProblemFileError(f"{path}: not valid TOML: {error}") from error
    except ProblemFileError as error:
        raise ProblemFileError(f"{path}: {error}") from error


def readable() -> Iterator[ProblemFile]:
    """Every problem DAGs can be made for, by name.

    A broken file is left out here, so that it takes no other problem's DAGs with it; `demand_readable` reports it.
    """
    return (found for found in _all(folder()) if isinstance(found, ProblemFile))


def names() -> list[str]:
    """Every problem there is a file for, the broken ones too, as far as a file's name can name a problem."""
    return [path.stem for path in sorted(folder().glob("*.toml")) if re.fullmatch(NAME, path.stem)]


def demand_readable() -> None:
    """Report every broken problem file at once.

    Raises: ProblemFileError: a file is broken, or the folder holds none.
    """
    found = list(_all(folder()))
    if not found:
        raise ProblemFileError(f"There is no problem file (*.toml) in {folder()}. Add one, or set EVERGREEN_PROBLEMS.")
    broken = [str(error) for error in found if isinstance(error, ProblemFileError)]
    if broken:
        raise ProblemFileError(
            f"{len(broken)} of {len(found)} problem files cannot be used. Their DAGs are away until they are mended; "
            "all others run on.\n" + "\n".join(broken)
        )


def _all(where: Path) -> Iterator[ProblemFile | ProblemFileError]:
    for path in sorted(where.glob("*.toml")):
        try:
            yield read(path)
        except ProblemFileError as error:
            yield error


def _from_content(content: dict[str, object], stem: str) -> ProblemFile:
    given: dict[str, Any] = {}
    for section, keys in SECTIONS.items():
        given |= {key: value for key, value in _section(content, section).items() if key in keys}
    if given.get("name") != stem:
        raise ProblemFileError(
            f"[problem] name = {given.get('name')!r}, but the file is called {stem}.toml. "
            "Give both the same name, because DAGs, tables and the model carry it."
        )
    return ProblemFile(**given)


def _section(content: dict[str, object], name: str) -> dict[str, object]:
    section = content.get(name, {})
    if not isinstance(section, dict):
        raise ProblemFileError(f"{name} = {section!r} is no section. Write [{name}] on a line of its own.")
    return section


def _demand_timezone(name: str) -> None:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:  # OSError: the name of a folder of zones, "America"
        raise ProblemFileError(
            f"[source] timezone = {name!r} is unknown. Write an IANA name, for example 'America/New_York'."
        ) from error


def _demand_cron(field: str, expression: str) -> None:
    try:
        CronTriggerTimetable(expression, timezone="UTC").validate()
    except AirflowTimetableInvalid as error:
        raise ProblemFileError(
            f"[schedule] {field} = {expression!r} is no cron expression ({error}). "
            "Write five fields, for example '0 3 * * *' for three at night."
        ) from error
