"""Deploy: let the prediction service answer with the champion, and prove by one answer that it does.

Starts when a promotion announces a champion, when somebody moves the alias `champion` in MLflow by hand, or by hand (Trigger),
which brings the service to the ledger's champion. An alias moved by hand is obeyed, with a row in the ledger, or put back, as
[gate] manual_moves says.

How the champion takes over says [serving] rollout: at once, or by and by, while the version before answers the others. The form
(Trigger) lets a person choose that, or hold, resume or finish the rollout that is under way.

Triage:

- **`deploy` skipped**: there is no champion yet, or the event that started it came twice. Not a fault.
- **`deploy` is up for retry**: the service is away. It loads the champion by itself when it starts.
- **`deploy` is up for reschedule**: a rollout is under way and holds no slot. The log's last line says at which step it is and
  what it waits for; so does `python -m ml status`.
- **`deploy` failed at try 1, "guardrail"**: the new version broke one, and the service went back to the version before by itself,
  at once. Ledger and MLflow have followed. Look at what the log says of it before anything like it is promoted again.
- **`deploy` failed at try 1, "by hand"**: somebody moved or deleted the alias, and it was put back. The log says why. To move
  the champion use `promote`; nothing is to be done here.
- **`deploy` failed at try 1**: the new version answered wrongly or its files changed since they were judged. The log shows
  the difference and what serves now: the version before it, put back in the service, the ledger and MLflow.
"""

from typing import Any

from airflow.sdk import dag, task
from retraining import assets, defaults, edge, forms, problems, runs
from retraining.problems import ProblemFile


def build(problem: ProblemFile) -> None:
    """The DAG `deploy_<problem>`."""

    @dag(
        schedule=assets.champion(problem.name) | assets.alias(problem.name),
        params=forms.deploy(),
        **defaults.arguments("deploy", problem, __doc__) | defaults.ROLLING_OUT,
    )
    def deploy() -> None:
        @task
        def deploy() -> dict[str, Any]:
            """Load the champion beside the old version, verify its answer, swap; by and by, if so asked for."""
            context = runs.open_run(problem)
            edge.follow_alias(context)
            return edge.rolled_out(context)

        deploy()

    deploy()


for found in problems.readable():
    build(found)
