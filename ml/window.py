"""Which data a run is about: half-open spans of whole days in the problem's time zone."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Self
from zoneinfo import ZoneInfo

from ml.errors import ConfigError


@dataclass(frozen=True)
class Window:
    """Days from `start` up to, not including, `end`."""

    start: date
    end: date

    def __post_init__(self) -> None:
        if self.start >= self.end:
            raise ConfigError(f"Window {self} holds no day: its end must be later than its start.")

    def __str__(self) -> str:
        return f"{self.start}/{self.end}"

    @property
    def days(self) -> int:
        """Number of days, at least 1."""
        return (self.end - self.start).days

    def __iter__(self) -> Iterator[date]:
        return (self.start + timedelta(days=number) for number in range(self.days))

    def instants(self, zone: str) -> tuple[datetime, datetime]:
        """First instant of the first day and first instant after the last, with offsets (a day may have 23 or 25 h)."""
        tz = ZoneInfo(zone)
        return datetime.combine(self.start, time(), tz), datetime.combine(self.end, time(), tz)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `2013-01-31` (that day) or `2013-01-01/2013-02-01` (January).

        Raises: ConfigError: neither of these, or an empty span.
        """
        first, slash, last = text.partition("/")
        try:
            start = date.fromisoformat(first.strip())
            end = date.fromisoformat(last.strip()) if slash else start + timedelta(days=1)
        except (ValueError, OverflowError) as error:
            raise ConfigError(
                f"{text!r} is no window. Write one day, 2013-01-31, or a half-open span, 2013-01-01/2013-02-01."
            ) from error
        return cls(start, end)


def spans(days: Iterable[date]) -> str:
    """Days in words, sorted: 2013-01-01 to 2013-01-31, 2013-02-03."""
    found: list[list[date]] = []
    for day in sorted(days):
        if found and day - found[-1][1] == timedelta(days=1):
            found[-1][1] = day
        else:
            found.append([day, day])
    return ", ".join(str(first) if first == last else f"{first} to {last}" for first, last in found)


def local_day(moment: datetime, zone: str) -> date:
    """The calendar day of a moment in a zone."""
    return moment.astimezone(ZoneInfo(zone)).date()


def resolve(asked: str | None, *, now: datetime, zone: str, newest: date | None, history_days: int, lookback_days: int) -> Window:
    """The window of a run, whatever started it: by hand, by the clock, by drift or by a backfill.

    Args:
        asked: what the form, a backfill or the command line named; it wins, up to yesterday.
        now: the moment the run stands at; today in `zone` is not over, so it is never part of a window.
        newest: the day up to which, without a gap, everything was validated; None before the first night.
        history_days: how far the first night reaches back.
        lookback_days: how many days before the new ones are read again for late rows and labels.
    Raises: ConfigError: what was asked for is no window, or reaches into a day that is not over.
    """
    today = local_day(now, zone)
    if asked:
        window = Window.parse(asked)
        if window.end > today:
            raise ConfigError(f"Window {window} ends after yesterday; in {zone} it is {today}, and only whole days are read.")
        return window
    if newest is None:
        return Window(today - timedelta(days=history_days), today)
    first_new = min(newest + timedelta(days=1), today)
    return Window(min(first_new - timedelta(days=lookback_days), today - timedelta(days=1)), today)
