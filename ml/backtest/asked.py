"""What is to be tried: which days, how often a night, which policies."""

import re
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from ml.errors import ConfigError
from ml.problem import Problem
from ml.window import Window

POLICIES = ("never", "nightly", "weekly", "drift", "performance", "evergreen")
FEWEST_NIGHTS = 2
MOST_WORKERS = 4  # each holds TensorFlow in memory
THREE = time(3)


@dataclass(frozen=True)
class Asked:
    """A span of nights, one every `every` days, replayed once under each policy.

    Attributes:
        share: of the keys that are replayed; less is faster.
        workers: policies that are replayed at once.
        keep: whether the replayed stores stay; they hold rows, which otherwise go when the backtest is done.
    """

    window: Window
    policies: tuple[str, ...] = POLICIES
    every: int = 1
    share: float = 1.0
    workers: int = 1
    keep: bool = False

    def __post_init__(self) -> None:
        unknown = [name for name in self.policies if name not in POLICIES]
        if unknown or not self.policies or len(set(self.policies)) < len(self.policies):
            raise ConfigError(
                f"--policies {','.join(self.policies)}: name each once, separated by commas, out of {', '.join(POLICIES)}."
            )
        if self.every < 1 or self.workers < 1 or not 0 < self.share <= 1:
            raise ConfigError("A backtest needs --every and --workers of at least 1, and a --share above 0 and up to 1.")
        if self.window.days < FEWEST_NIGHTS * self.every:
            raise ConfigError(
                f"{self.window} holds {self.window.days} days, fewer than {FEWEST_NIGHTS} nights {self.every} days apart. "
                "Name a longer span with --from and --to."
            )

    def nights(self, problem: Problem) -> list[tuple[datetime, datetime]]:
        """The moment of every night and of the next one; between the two its champion answers.

        The last night ends with the span, at the same time of day.
        """
        days = [*list(self.window)[:: self.every], self.window.end]
        return list(pairwise(moment(day, problem) for day in days))


def moment(day: date, problem: Problem) -> datetime:
    """When the night of a day begins: as [schedule] retrain says, or at three where it names several times of day."""
    minute, hour = problem.schedule.retrain.split()[:2]
    plain = re.fullmatch(r"\d+", minute) and re.fullmatch(r"\d+", hour)
    at = time(int(hour), int(minute)) if plain else THREE
    return datetime.combine(day, at, ZoneInfo(problem.source.timezone))


def weeks(window: Window, days: int) -> list[Window]:
    """The span cut into pieces of so many days; a rest at the end joins the piece before it."""
    starts = [window.start + timedelta(days=number) for number in range(0, max(window.days - days + 1, 1), days)]
    return [Window(start, end) for start, end in pairwise([*starts, window.end])]
