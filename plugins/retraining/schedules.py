"""When DAGs start by themselves."""

import os
from typing import Any

from airflow.sdk import AssetOrTimeSchedule, CronTriggerTimetable

from retraining import assets
from retraining.problems import ProblemFile


def retrain(problem: ProblemFile) -> Any:
    """Every night and on drift; only on drift while history is replayed."""
    drift = assets.drift(problem.name)
    nightly = _cron(problem.retrain, problem)
    return AssetOrTimeSchedule(timetable=nightly, assets=drift) if nightly else [drift]


def monitor(problem: ProblemFile) -> Any:
    """Every morning; only by hand while history is replayed."""
    return _cron(problem.monitor, problem)


def _cron(expression: str, problem: ProblemFile) -> CronTriggerTimetable | None:
    """The timetable is named, because a bare cron text has a meaning that depends on Airflow's configuration.

    None while `EVERGREEN_CLOCK_FILE` replays history: the replay says when a night begins, the wall clock must not.
    """
    if os.environ.get("EVERGREEN_CLOCK_FILE"):
        return None
    return CronTriggerTimetable(expression, timezone=problem.timezone)
