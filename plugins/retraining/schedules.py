"""When DAGs start by themselves."""

import os
from typing import Any

from airflow.sdk import AssetOrTimeSchedule, CronTriggerTimetable

from retraining import assets
from retraining.problems import ProblemFile


def retrain(problem: ProblemFile) -> Any:
    """Every night and on drift; only on drift while history is replayed. Either way a backfill finds every night."""
    return AssetOrTimeSchedule(timetable=_cron(problem.retrain, problem), assets=assets.drift(problem.name))


def monitor(problem: ProblemFile) -> Any:
    """Every morning; only by hand while history is replayed."""
    return _cron(problem.monitor, problem)


def feedback(problem: ProblemFile) -> Any:
    """Every night before the retrain; only by hand while history is replayed."""
    return _cron(problem.feedback, problem)


def housekeeping(problem: ProblemFile) -> Any:
    """Every week; only by hand while history is replayed."""
    return _cron(problem.housekeeping, problem)


def alerts(problem: ProblemFile) -> Any:
    """All day; only by hand while history is replayed."""
    return _cron("*/10 * * * *", problem)


def _cron(expression: str, problem: ProblemFile) -> Any:
    """The timetable is named, because a bare cron text has a meaning that depends on Airflow's configuration.

    While `EVERGREEN_CLOCK_FILE` replays history, the replay says when a night begins, the wall clock must not.
    """
    if os.environ.get("EVERGREEN_CLOCK_FILE"):
        from retraining.timetables import ReplayedCronTimetable

        return ReplayedCronTimetable(expression, timezone=problem.timezone)
    return CronTriggerTimetable(expression, timezone=problem.timezone)
