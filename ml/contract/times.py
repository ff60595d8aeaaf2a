"""What happened to a column of moments: another zone, another epoch, swapped parts of the date, the time of day cut off."""

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from ml.contract.record import Hypothesis
from ml.profile import GRID, ColumnProfile

Floats = npt.NDArray[np.float64]
PRESENT = 200
HOURS = tuple(hours for hours in range(-12, 15) if hours)
MOVED, BETTER, CLOSE = 0.12, 0.5, 0.2  # distances of two clocks: when it moved; how much better a shift fits; how well
STEADY = 5.0  # minutes that the gaps may differ from one another
INNER = slice(GRID.index(0.05), GRID.index(0.95) + 1)
YEAR = 365 * 1440  # minutes
TODAY = (1980, 2100)  # years that data are about


def shifted(name: str, recorded: ColumnProfile, now: ColumnProfile, zone: str) -> list[Hypothesis]:
    """The clock moved as a block, by the hours of the day."""
    hours = clock_shift(recorded, now)
    return _zone(name, hours, zone, now) if hours else []


def clock_shift(recorded: ColumnProfile, now: ColumnProfile) -> int:
    """Hours by which the times of day moved as a block, 0 when they did not, or when it cannot be told."""
    before, current = _shares(recorded), _shares(now)
    if before is None or current is None:
        return 0
    still = _apart(before, current)
    best = min(HOURS, key=lambda hours: (_apart(np.roll(before, hours), current), abs(hours)))
    gap = _apart(np.roll(before, best), current)
    return best if still >= MOVED and gap <= BETTER * still and gap <= CLOSE else 0


def gap_shift(recorded: ColumnProfile, now: ColumnProfile) -> int:
    """Minutes by which a steady gap to the event time moved, 0 when it did not or is not steady."""
    if not recorded.gaps or not now.gaps or min(recorded.num_present, now.num_present) < PRESENT:
        return 0
    before, current = np.asarray(recorded.gaps)[INNER], np.asarray(now.gaps)[INNER]
    steps = current - before
    middle = float(np.median(steps))
    if before[-1] - before[0] > 2 * STEADY or np.abs(steps - middle).max() > STEADY or abs(middle) < 29:
        return 0
    return round(middle)


def moved_against_event(name: str, event: str, minutes: int) -> list[Hypothesis]:
    """A gap moved, and no clock tells whose fault it is."""
    how = f"{abs(minutes) / 60:g} hours" if abs(minutes) < 2880 else f"{abs(minutes) / 1440:g} days"
    way = "later" if minutes > 0 else "earlier"
    cause = f"clock shifted by {minutes / 60:+g} h" if abs(minutes) < 1440 else "days shifted"
    return [
        Hypothesis(cause=cause, sentence=f"{name} lies {how} {way} against {event} than recorded, in every row", score=0.8),
        Hypothesis(cause=f"{event} shifted", sentence=f"{event} moved by {how} the other way", score=0.4),
    ]


def cut_off(name: str, recorded: ColumnProfile, now: ColumnProfile) -> list[Hypothesis]:
    """Only dates are left, or the afternoon became morning."""
    before, current = _shares(recorded), _shares(now)
    if before is None or current is None:
        return []
    if current.max() > 0.99 and before.max() < 0.5:
        hour = int(current.argmax())
        sentence = f"the time of day of {name} was cut off: every moment is at {hour} h, recorded were times all over the day"
        return [Hypothesis(cause="time of day cut off", sentence=sentence, score=0.97)]
    folded = before[:12] + before[12:]
    if before[12:].sum() > 0.2 and current[12:].sum() < 0.01 and _apart(folded, current[:12]) <= CLOSE:
        sentence = f"{name} is on a 12-hour clock without AM and PM: no moment is after noon, {before[12:].sum():.0%} were"
        return [Hypothesis(cause="12-hour clock", sentence=sentence, score=0.97)]
    return []


def epoch(name: str, recorded: ColumnProfile, now: ColumnProfile) -> list[Hypothesis]:
    """Years that no data are from."""
    if not (recorded.last and now.last and now.first) or not TODAY[0] <= recorded.last.year <= TODAY[1]:
        return []
    if now.last.year < 1980 and recorded.last.year >= 1980:
        if now.last.year < 200:
            return [_year(name, now.last, "two-digit years", "years are written with two digits", 0.95)]
        if now.last.year >= 1970:
            return [_year(name, now.last, "seconds read as milliseconds", "seconds since 1970 are read as milliseconds", 0.95)]
        return [_year(name, now.last, "wrong years", "dates are wrong, or a default is written", 0.6)]
    if now.first.year > TODAY[1]:
        return [_year(name, now.first, "milliseconds read as seconds", "milliseconds since 1970 are read as seconds", 0.95)]
    return []


def _year(name: str, moment: datetime, cause: str, words: str, score: float) -> Hypothesis:
    return Hypothesis(cause=cause, sentence=f"{words}: {name} is in the year {moment.year}", score=score)


def swapped_parts(name: str, event: ColumnProfile, recorded: ColumnProfile, now: ColumnProfile) -> list[Hypothesis]:
    """Day and month changed places: moments lie as far from the event as swapping its dates would put them."""
    if not (recorded.gaps and now.gaps and event.first and event.last):
        return []
    usual, inner = max(abs(recorded.gaps[0]), abs(recorded.gaps[-1])) + 1440, now.gaps[INNER]
    widest = max(abs(inner[0]), abs(inner[-1]))  # of most rows: one that was moved proves nothing
    if widest < usual + 10 * 1440:
        return []
    possible = np.asarray(_swapped_gaps(event.first, event.last))
    near = possible.any() and all(np.abs(possible - gap).min() <= usual for gap in inner)
    if near:
        sentence = f"day and month of {name} are swapped where both can be: it lies up to {widest / 1440:.0f} days from the event"
        return [Hypothesis(cause="day and month swapped", sentence=sentence, score=0.95)]
    if widest < 2 * usual + YEAR:
        return []
    sentence = f"{name} lies up to {widest / 1440:.0f} days from the event, {usual / 1440:.0f} at most before: dates are wrong"
    return [Hypothesis(cause="dates far off", sentence=sentence, score=0.6)]


def _swapped_gaps(first: datetime, last: datetime) -> list[float]:
    """Minutes from each day to itself with day and month swapped; 0 where that is no date."""
    days = [first.date() + timedelta(days=number) for number in range(min((last - first).days + 2, 400))]
    return [(date(day.year, day.day, day.month) - day).days * 1440.0 if day.day <= 12 else 0.0 for day in days]


def _zone(name: str, hours: int, zone: str, now: ColumnProfile) -> list[Hypothesis]:
    """What a shift by whole hours says."""
    offsets = {round(at.utcoffset().total_seconds() / 3600) for at in _around(now.last, ZoneInfo(zone))}  # type: ignore[union-attr]
    cause, way = f"clock shifted by {hours:+d} h", "later" if hours > 0 else "earlier"
    times = f"all times of {name} are {abs(hours)} h {way}"
    found = [Hypothesis(cause=cause, sentence=f"{times} than recorded: they are in another time zone", score=0.85)]
    if hours in offsets:
        words = f"local time ({zone}) is read as UTC: {times}"
        found.append(Hypothesis(cause=cause, sentence=words, score=0.95))
    if -hours in offsets:
        words = f"UTC is read as local time ({zone}): {times}"
        found.append(Hypothesis(cause=cause, sentence=words, score=0.95))
    if abs(hours) == 1:
        found.append(Hypothesis(cause=cause, sentence=f"daylight-saving time is missing or counted twice: {times}", score=0.9))
    return found


def _around(moment: datetime | None, zone: ZoneInfo) -> list[datetime]:
    """The moment and half a year before it: summer and winter."""
    return [] if moment is None or moment.year < 2 else [moment.astimezone(zone), (moment - timedelta(days=182)).astimezone(zone)]


def _shares(profile: ColumnProfile) -> Floats | None:
    counts = np.asarray(profile.hours, np.float64)
    return counts / counts.sum() if profile.num_present >= PRESENT and counts.sum() > 0 else None


def _apart(one: Floats, other: Floats) -> float:
    """Total variation distance, 0 to 1."""
    return float(np.abs(one - other).sum()) / 2
