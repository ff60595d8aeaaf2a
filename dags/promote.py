"""Promote: move the champion to a version whose verdict says promote. The ledger leads, the alias in MLflow follows.

Starts when a retrain announces a candidate, or by hand (Trigger, with a version). A DAG of its own, so that a promotion
that waits never holds up the next night.

Triage:

- **`promote` skipped**: nothing is due; another run has promoted it already. Not a fault.
- **`promote` failed at try 1**: refused, and nothing was moved. The log says why: the champion moved since the candidate
  was compared with it (retrain), the verdict of the version does not say promote, or its files changed.
- **`announce` failed**: the champion has moved, the service has not. Clear the task, or trigger `deploy` by hand.
"""

from typing import Any

from airflow.sdk import dag, task
from retraining import assets, defaults, edge, forms, problems
from retraining.problems import ProblemFile


def build(problem: ProblemFile) -> None:
    """The DAG `promote_<problem>`."""

    @dag(
        schedule=[assets.candidate(problem.name)],
        params=forms.promote(),
        **defaults.arguments("promote", problem, __doc__),
    )
    def promote() -> None:
        @task
        def promote(dag_run: Any = None, params: Any = None) -> dict[str, Any]:
            """Move the champion in the ledger, compare-and-set, then the alias in MLflow; skipped when nothing is due."""
            from ml import promote as stage

            promoted = stage.run(edge.open_run(problem), **edge.asked_by_hand(dag_run, params))
            return edge.done(promoted, otherwise="no promotion is due")

        @task(outlets=[assets.champion(problem.name)])
        def announce() -> dict[str, Any]:
            """Start `deploy` when a deployment is due."""
            return edge.announce(edge.open_run(problem), "deploy")

        promote() >> announce()

    promote()


for found in problems.readable():
    build(found)
