"""Alerts: tell people what they should know, by the routes that [alerts] of the problem file names.

Starts every ten minutes, or by hand. What happened is written down by whoever saw it; this sends it, and looks whether a night
is late. What to do about an alert: docs/runbook.md.

Triage:

- **`sweep` failed, "took no message"**: a sink is away, or its address is wrong. Nothing is lost: what is due is sent once it is
  taken. Try the route with `python -m ml alerts test`.
- **`sweep` failed at try 1**: the file that `EVERGREEN_ALERTS` names is wrong. The last line of the log says what.
- **`sweep` is up for retry**: the database is away. What is due waits there.
"""

from typing import Any

from airflow.sdk import dag, task
from retraining import alarms, defaults, problems, schedules
from retraining.problems import ProblemFile


def build(problem: ProblemFile) -> None:
    """The DAG `alerts_<problem>`. Its own failures are told by Prometheus: it cannot tell that it cannot tell."""
    arguments = defaults.arguments("alerts", problem, __doc__) | {"on_failure_callback": None}

    @dag(schedule=schedules.alerts(problem), **arguments)
    def alerts() -> None:
        @task(on_failure_callback=None)
        def sweep() -> dict[str, Any]:
            """Write down what is new, send what is due, and leave word for Prometheus."""
            return alarms.sweep(problem)

        sweep()

    alerts()


for found in problems.readable():
    build(found)
