"""Monitor: compare what the service was asked, and how it answered, with what the champion was judged on.

Starts every morning, or by hand. Drift that hurts asks for a retrain, at most once in the cooldown.

Triage:

- **`monitor` says drift**: the log names the columns or the quality that moved and by how much; `report` writes the
  pictures. A retrain is asked for only when the kind of drift is one the problem file acts on.
- **`monitor` says not assessable**: too few requests or labels. Not a fault, and not "no drift".
- **`announce` skipped**: no retrain is due. Not a fault.
- **`report` failed**: only the pictures are missing; the verdict and the retrain do not depend on them.
"""

from typing import Any

from airflow.sdk import dag, task
from retraining import assets, defaults, edge, links, problems, schedules
from retraining.problems import ProblemFile


def build(problem: ProblemFile) -> None:
    """The DAG `monitor_<problem>`."""

    @dag(schedule=schedules.monitor(problem), **defaults.arguments("monitor", problem, __doc__))
    def monitor() -> None:
        @task
        def monitor() -> dict[str, Any]:
            """Judge requests, scores and live quality; write the retrain that is due, if any, to the work table."""
            from ml import monitor as stage

            return edge.done(stage.run(edge.open_run(problem)))

        @task
        def report() -> str:
            """Draw the same comparison with Evidently, for people."""
            from ml import monitor as stage

            return str(stage.report(edge.open_run(problem)))

        @task(outlets=[assets.drift(problem.name)])
        def announce() -> dict[str, Any]:
            """Start `retrain` when drift asks for it."""
            return edge.announce(edge.open_run(problem), "retrain")

        links.to_drift(monitor()) >> [links.to_drift(report()), announce()]

    monitor()


for found in problems.readable():
    build(found)
