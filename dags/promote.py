"""Promote: move the champion to a version whose verdict says promote. The ledger leads, the alias in MLflow follows.

Starts when a retrain announces a candidate, or by hand (Trigger, with a version). A DAG of its own, so that a promotion
that waits never holds up the next night. Where [gate] approval = "manual" a person is asked first (Required Actions).

Triage:

- **`approve` waits for input**: not a fault. Open it (Required Actions), read, then approve or reject with a comment; whoever
  answers is named in the ledger and in MLflow. No answer in time is a no.
- **`approve` skipped**: nobody has to be asked. Trigger with a version to be asked about that one.
- **`promote` skipped**: rejected, or nothing is due because another run has promoted it already. Not a fault.
- **`promote` failed at try 1**: refused, and nothing was moved. The log says why: the champion moved since the candidate
  was compared with it, a newer candidate waits, the verdict does not say promote (any more), or its files changed.
- **`announce` failed**: the champion has moved, the service has not. Clear the task, or trigger `deploy` by hand.
"""

from typing import Any

from airflow.sdk import dag, task
from retraining import approval, assets, defaults, edge, forms, problems, runs
from retraining.problems import ProblemFile


def build(problem: ProblemFile) -> None:
    """The DAG `promote_<problem>`."""
    manual = problem.approval == "manual"

    @dag(
        schedule=[assets.candidate(problem.name)],
        params=forms.promote(),
        **defaults.arguments("promote", problem, __doc__) | (defaults.waiting(problem) if manual else {}),
    )
    def promote() -> None:
        @task
        def promote(answered: dict[str, Any] | None = None, dag_run: Any = None, params: Any = None) -> dict[str, Any]:
            """Move the champion in the ledger, compare-and-set, then the alias in MLflow; skipped when nothing is due."""
            from ml import promote as stage

            context = runs.open_run(problem)
            followed = edge.follow_alias(context)
            if followed and followed.obeyed:  # a person was faster; what is due here was compared with another champion
                return edge.done(followed)
            asked = approval.take_answer(context, answered) if answered else runs.asked_by_hand(dag_run, params)
            return edge.done(stage.run(context, **asked), otherwise="no promotion is due")

        @task(outlets=[assets.champion(problem.name)])
        def announce() -> dict[str, Any]:
            """Start `deploy` when a deployment is due."""
            return edge.announce(runs.open_run(problem), "deploy")

        answered = approval.ask(problem) if manual else None
        promote(answered) >> announce()

    promote()


for found in problems.readable():
    build(found)
