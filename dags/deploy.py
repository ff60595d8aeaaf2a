"""Deploy: let the prediction service answer with the champion, and prove by one answer that it does.

Starts when a promotion announces a champion, when somebody moves the alias `champion` in MLflow by hand, or by hand (Trigger),
which brings the service to the ledger's champion. An alias moved by hand is obeyed, with a row in the ledger, or put back, as
[gate] manual_moves says.

Triage:

- **`deploy` skipped**: there is no champion yet; promote a version first. Not a fault.
- **`deploy` is up for retry**: the service is away. It loads the champion by itself when it starts.
- **`deploy` failed at try 1, "by hand"**: somebody moved or deleted the alias, and it was put back. The log says why. To move
  the champion use `promote`; nothing is to be done here.
- **`deploy` failed at try 1**: the new version answered wrongly or its files changed since they were judged. The log shows
  the difference and what serves now: the version before it, put back in the service, the ledger and MLflow.
"""

from typing import Any

from airflow.sdk import dag, task
from retraining import assets, defaults, edge, problems
from retraining.problems import ProblemFile


def build(problem: ProblemFile) -> None:
    """The DAG `deploy_<problem>`."""

    @dag(schedule=assets.champion(problem.name) | assets.alias(problem.name), **defaults.arguments("deploy", problem, __doc__))
    def deploy() -> None:
        @task
        def deploy() -> dict[str, Any]:
            """Load the champion beside the old version, verify its answer, swap; skipped when there is no champion."""
            from ml import deploy as stage

            context = edge.open_run(problem)
            edge.follow_alias(context)
            return edge.done(stage.run(context), otherwise="there is no champion to deploy yet")

        deploy()

    deploy()


for found in problems.readable():
    build(found)
