"""Monitor: compare what the service was asked, and how it answered, with what the champion was judged on.

Starts every morning, or by hand; with a window (Trigger) it looks at the past, and nothing follows from what it finds.

What is due is written down first, then announced: a retrain, at most once in the cooldown; a way back to the champion before,
where [drift] rollback allows it; labels that are asked for; news for people, each once, among them that a retrain was refused.

Triage:

- **`monitor` says drift**: the log names the columns or the quality that moved and by how much; `report` writes the dossier
  and the pictures. A retrain is asked for only when the kind of drift is one the problem file acts on.
- **`monitor` says not assessable**: too few requests or labels. Not a fault, and not "no drift".
- **`announce`, `roll_back` or `tell` skipped**: nothing of its kind is due. Not a fault.
- **`roll_back` failed at try 1**: it cannot be gone back to, and the log says why. Nothing was moved.
- **`report` failed**: only the pictures are missing; the verdict and the retrain do not depend on them.
"""

from typing import Any

from airflow.sdk import dag, task
from retraining import assets, defaults, edge, forms, links, problems, runs, schedules
from retraining.problems import ProblemFile


def build(problem: ProblemFile) -> None:
    """The DAG `monitor_<problem>`."""

    @dag(schedule=schedules.monitor(problem), params=forms.monitor(), **defaults.arguments("monitor", problem, __doc__))
    def monitor() -> None:
        @task
        def monitor() -> dict[str, Any]:
            """Judge requests, scores and live quality; write what is due, if anything is, to the work table."""
            from ml import monitor as stage

            return edge.done(stage.run(runs.open_run(problem)))

        @task
        def report() -> str:
            """Write the dossier, the same comparison drawn by Evidently, and the page over all days."""
            from ml import monitor as stage

            return str(stage.report(runs.open_run(problem)))

        @task(outlets=[assets.drift(problem.name)])
        def announce() -> dict[str, Any]:
            """Start `retrain` when drift asks for it."""
            return edge.announce(edge.open_to_act(problem), "retrain")

        @task(outlets=[assets.champion(problem.name)])
        def roll_back() -> dict[str, Any]:
            """Move the champion back where that is due, and start `deploy`."""
            from ml import promote

            return edge.done(promote.rollback_due(edge.open_to_act(problem)), otherwise="no way back is due")

        @task(outlets=[assets.news(problem.name)])
        def tell() -> dict[str, Any]:
            """Log what people should know, once, and send the event that other DAGs can bring it to them by."""
            return edge.tell(edge.open_to_act(problem))

        links.to_drift(monitor()) >> [links.to_drift(report()), announce(), roll_back(), tell()]

    monitor()


for found in problems.readable():
    build(found)
