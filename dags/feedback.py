"""Feedback: join what people and programs told the service with the answers it is about, and choose rows to ask people about.

Starts every night before the retrain, or by hand. Labels are learned from by the next night, with their source.

Triage:

- **`join` is up for retry**: the database or the store is away. What was told waits; nothing counts twice.
- **`watch` failed**: too much feedback names requests or keys that are not known. What could be joined is joined; look at what
  clients send.
- **`queue` chose nothing**: no champion, or every answer has its label. Not a fault. Its button leads to the page to label on.
"""

from typing import Any

from airflow.sdk import dag, task
from retraining import defaults, edge, links, problems, runs, schedules
from retraining.problems import ProblemFile


def build(problem: ProblemFile) -> None:
    """The DAG `feedback_<problem>`."""

    @dag(schedule=schedules.feedback(problem), **defaults.arguments("feedback", problem, __doc__))
    def feedback() -> None:
        @task
        def join() -> dict[str, Any]:
            """Write feedback to the table of labels, once each."""
            from ml import feedback as stage

            return edge.done(stage.run(runs.open_run(problem)))

        @task
        def watch() -> None:
            """Fail when too much of it belongs to nothing that is known."""
            from ml import feedback as stage

            stage.watch(runs.open_run(problem))

        @task
        def queue() -> dict[str, Any]:
            """Choose the rows most worth a label, and some by chance."""
            from ml import feedback as stage

            return edge.done(stage.queue(runs.open_run(problem)))

        join() >> [watch(), links.to_labels(queue())]

    feedback()


for found in problems.readable():
    build(found)
