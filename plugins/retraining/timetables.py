"""A timetable for replayed history: nothing starts by the wall clock, and a backfill finds every night."""

from airflow.timetables.base import DagRunInfo, DataInterval, TimeRestriction
from airflow.timetables.trigger import CronTriggerTimetable


class ReplayedCronTimetable(CronTriggerTimetable):  # type: ignore[misc]  # Airflow comes without types
    """Cron moments that only a backfill asks for. The scheduler is told that there is no next one."""

    def next_dagrun_info(
        self, *, last_automated_data_interval: DataInterval | None, restriction: TimeRestriction
    ) -> DagRunInfo | None:
        """The next moment inside a backfill's span, never one for the scheduler: our DAGs have no catch-up, backfills do."""
        if not restriction.catchup:
            return None
        return super().next_dagrun_info(last_automated_data_interval=last_automated_data_interval, restriction=restriction)
