"""A small past: four events a day, each asked about when it is known, its label known days later."""

from datetime import UTC, date, datetime, timedelta

import pyarrow as pa

from ml import problem as problems
from ml.problem import Problem
from ml.settings import PROJECT
from ml.tables import DAY

FLIGHTS = problems.load("flights", PROJECT / "ml" / "problems")
FIRST = date(2013, 1, 1)
LATE_DAYS = 2  # from the event to its label


def problem(**source: object) -> Problem:
    """Flights in UTC with three features; nights at three."""
    about = FLIGHTS.source.model_copy(update={"timezone": "UTC", "lookback_days": 4, **source})
    features = {name: FLIGHTS.features[name] for name in ("carrier", "distance", "sched_dep")}
    return FLIGHTS.model_copy(update={"source": about, "features": features})


def past(num_days: int) -> pa.Table:
    """What is known in the end."""
    events = [datetime(2013, 1, 1, hour, tzinfo=UTC) + timedelta(days=day) for day in range(num_days) for hour in (1, 8, 15, 22)]
    size = len(events)
    moments = pa.timestamp("us", "UTC")
    return pa.table(
        {
            "flight_id": [f"f{number}" for number in range(size)],
            "sched_dep": pa.array(events, moments),
            "outcome_at": pa.array([at + timedelta(days=LATE_DAYS) for at in events], moments),
            "late_15": [number % 3 == 0 for number in range(size)],
            "available_at": pa.array([at - timedelta(hours=2) for at in events], moments),
            "carrier": ["UA", "AA"] * (size // 2),
            "distance": [float(number) for number in range(size)],
            DAY: [str(at.date()) for at in events],
        }
    )
