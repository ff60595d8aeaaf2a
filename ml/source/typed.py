"""A column of a file as the type that the problem file declares; where a value does not fit, which one."""

from collections.abc import Callable
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from ml.source.common import ARROW

YES, NO = ("t", "true", "y", "yes", "on", "1"), ("f", "false", "n", "no", "off", "0")
EXPECTED = {
    "number": "a number such as 12.5, with a point and without thousands separators",
    "boolean": "true or false",
    "datetime": "a time such as 2013-01-31 18:05:00-05:00, years 1 to 9999",
}
WITH_OFFSET = r"[T ]\d\d.*(Z|[+-]\d\d(:?\d\d)?)$"
FIRST, LAST = -62_135_596_800_000_000, 253_402_300_800_000_000  # of the years 1 to 9999, microseconds since 1970


class UnfitError(ValueError):
    """The value at `position` is not what the column should hold."""

    def __init__(self, position: int, value: object, expected: str) -> None:
        super().__init__(f"{str(value)[:60]!r} is not {expected}")
        self.position, self._expected = position, expected

    def told(self, *, hidden: bool) -> str:
        """What is wrong; without the value where nobody may see it."""
        return f"holds a value, which is hidden, that is not {self._expected}" if hidden else str(self)


def typed(column: pa.Array, kind: str, zone: str) -> pa.Array:
    """The column as `kind`; an empty text is missing where no text is meant.

    A time without offset is local to `zone`. As PostgreSQL does, one that a change of clocks skips is counted from the hour
    before (02:30 becomes 03:30), and one that occurs twice is taken as the later.
    Raises: UnfitError: a value is no `kind`, or holds a NUL character.
    """
    if isinstance(column.type, pa.DictionaryType):
        column = column.cast(column.type.value_type)
    if kind in ("number", "boolean", "datetime") and _is_text(column.type):
        column = pc.utf8_trim_whitespace(column)
        column = pc.if_else(pc.equal(column, ""), pa.scalar(None, column.type), column)
    changes: dict[str, Callable[[pa.Array], pa.Array]] = {
        "number": _number,
        "boolean": _boolean,
        "datetime": lambda some: _bounded(_moment(some, zone)),
    }
    change = changes.get(kind, _text)
    try:
        return change(column)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        position = _first_unfit(column, change)
        value = pc.cast(column.slice(position, 1), pa.string())[0].as_py()  # Python knows no year above 9999
        raise UnfitError(position, value, EXPECTED.get(kind, "plain text (it holds a NUL character)")) from error


def deleted(column: pa.Array, zone: str, now: datetime) -> pa.Array:
    """Whether a row is marked as deleted: by a yes, or by a moment that has come.

    Raises: UnfitError: neither.
    """
    if pa.types.is_boolean(column.type) or pa.types.is_null(column.type):
        return pc.fill_null(column.cast(pa.bool_()), False)
    yes = pa.repeat(False, len(column))
    if _is_text(column.type):
        lower = pc.utf8_lower(pc.utf8_trim_whitespace(column))
        yes = pc.is_in(lower, pa.array(YES, lower.type))
        column = pc.if_else(pc.is_in(lower, pa.array((*YES, *NO), lower.type)), None, column)
    return pc.or_(yes, pc.fill_null(pc.less_equal(typed(column, "datetime", zone), pa.scalar(now, ARROW["datetime"])), False))


def order(column: pa.Array, zone: str) -> pa.Array:
    """A number or a time as a number that orders the versions of a row.

    Raises: UnfitError: neither.
    """
    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        return typed(column, "datetime", zone).cast(pa.int64()).cast(pa.float64())
    try:
        return typed(column, "number", zone)
    except UnfitError:
        return typed(column, "datetime", zone).cast(pa.int64()).cast(pa.float64())


def _number(column: pa.Array) -> pa.Array:
    return pc.cast(column, pa.float64(), safe=_is_text(column.type))


def _boolean(column: pa.Array) -> pa.Array:
    if not _is_text(column.type):
        return pc.cast(column, pa.bool_())
    lower = pc.utf8_lower(column)
    yes, no = (pc.is_in(lower, pa.array(words, lower.type)) for words in (YES, NO))
    if not pc.all(pc.or_(pc.or_(yes, no), pc.is_null(lower))).as_py() and len(lower):
        raise pa.ArrowInvalid("no boolean")
    return pc.if_else(pc.is_null(lower), pa.scalar(None, pa.bool_()), yes)


def _moment(column: pa.Array, zone: str) -> pa.Array:
    if _is_text(column.type):
        try:
            return pc.cast(column, ARROW["datetime"])  # quick where all are alike, each with its offset
        except pa.ArrowInvalid:
            return _mixed(column, zone)
    if pa.types.is_timestamp(column.type) and column.type.tz is not None:
        return pc.cast(column, options=pc.CastOptions(ARROW["datetime"], allow_time_truncate=True))
    return _local(pc.cast(column, options=pc.CastOptions(pa.timestamp("us"), allow_time_truncate=True)), zone)


def _mixed(column: pa.Array, zone: str) -> pa.Array:
    """Moments of texts with and without offset; what is finer than a microsecond is cut."""
    column = pc.replace_substring_regex(column, r"(\.\d{6})\d+", r"\1")
    offset = pc.fill_null(pc.match_substring_regex(column, WITH_OFFSET), False)
    absolute = pc.cast(pc.if_else(offset, column, None), ARROW["datetime"])
    return pc.coalesce(absolute, _local(pc.cast(pc.if_else(offset, None, column), pa.timestamp("us")), zone))


def outside_the_calendar(column: pa.Array) -> int | None:
    """Position of the first moment that calendars, and so whoever reads it later, cannot name."""
    ends = pc.min_max(column)
    if not ends["min"].is_valid or (ends["min"].value >= FIRST and ends["max"].value < LAST):
        return None
    micros = column.cast(pa.int64())
    return int(pc.index(pc.or_(pc.less(micros, FIRST), pc.greater_equal(micros, LAST)), True).as_py())


def _bounded(column: pa.Array) -> pa.Array:
    if outside_the_calendar(column) is not None:
        raise pa.ArrowInvalid("out of the calendar")
    return column


def _local(column: pa.Array, zone: str) -> pa.Array:
    """Moments of times of `zone`."""
    first, last = (pc.assume_timezone(column, zone, ambiguous="latest", nonexistent=which) for which in ("earliest", "latest"))
    if not first.equals(last):
        hours = pa.scalar(3 * 3600 * 1_000_000, pa.duration("us"))
        before = pc.add(pc.assume_timezone(pc.subtract(column, hours), zone, ambiguous="latest", nonexistent="earliest"), hours)
        last = pc.if_else(pc.equal(first, last), last, before)
    return pc.cast(last, ARROW["datetime"])


def _text(column: pa.Array) -> pa.Array:
    column = pc.cast(column, pa.string())
    if pc.any(pc.match_substring(column, "\0")).as_py():
        raise pa.ArrowInvalid("NUL")
    return column


def _first_unfit(column: pa.Array, change: Callable[[pa.Array], pa.Array]) -> int:
    """Position of the first value that cannot be changed, by halves."""
    start, end = 0, len(column)
    while end - start > 1:
        middle = (start + end) // 2
        try:
            change(column.slice(start, middle - start))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            end = middle
        else:
            start = middle
    return start


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))
