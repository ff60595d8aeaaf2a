"""Live quality and drift over the last days, from the small files that the monitor leaves, one a day."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from ml.context import Context
from ml.errors import DataError
from ml.overview.nights import at_once
from ml.records import Monitored, MonitoredDay

DAYS = 30  # that a page shows
STATES = ("drift", "no drift", "not assessable")


@dataclass(frozen=True)
class Point:
    """What monitoring said of one day.

    Attributes:
        value: live quality in the success metric, once enough labels are known; `limit`: below it counts as worse than promised.
        drift: drift, no drift, or not assessable, over all kinds; kinds, subjects: which, and what moved.
    """

    day: date
    run_key: str
    version: int | None
    value: float | None
    limit: float | None
    drift: str
    kinds: tuple[str, ...]
    subjects: tuple[str, ...]
    num_requests: int
    num_labelled: int


def points(context: Context, most: int = DAYS) -> list[Point]:
    """The newest days that were judged, oldest first; a day whose file cannot be read is left out."""
    names = sorted(context.store.names(MonitoredDay.folder))[-most:]
    metric = context.problem.success.metric
    return [_point(one, metric) for one in at_once(lambda name: _day(context, name), names) if one]


def state(found: Sequence[Point]) -> str:
    """The newest day's word; empty before the first."""
    return found[-1].drift if found else ""


def _day(context: Context, name: str) -> MonitoredDay | None:
    try:
        return MonitoredDay.model_validate(context.store.read_json(name))
    except (DataError, ValueError, TypeError):
        return None


def _point(one: MonitoredDay, metric: str) -> Point:
    said = one.said
    live = next((found for found in said.findings if (found.kind, found.subject) == ("concept", metric)), None)
    drifted = [found for found in said.findings if found.drifted]
    return Point(
        day=one.day,
        run_key=one.run_key,
        version=said.version,
        value=live.value if live else None,
        limit=live.limit if live else None,
        drift=_worst(said),
        kinds=tuple(kind for kind, verdict in said.verdicts.items() if verdict == "drift"),
        subjects=tuple(dict.fromkeys(found.subject for found in drifted)),
        num_requests=said.num_requests,
        num_labelled=said.num_labelled,
    )


def _worst(said: Monitored) -> str:
    """One kind that drifts is drift; without any, one that could be judged is enough for "no drift"."""
    return next((state for state in STATES if state in said.verdicts.values()), STATES[-1])
