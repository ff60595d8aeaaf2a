"""The question to a person, as one of Airflow's required actions: a task that waits without worker, pool slot or triggerer.

It only carries question and answer. What they are worth is judged and written down by the task after it, so that an answer
that a person has given is never asked for again because a database was away.
"""

from datetime import timedelta
from typing import Any

from airflow.providers.standard.operators.hitl import ApprovalOperator, HITLOperator
from airflow.sdk import Param

from retraining.problems import ProblemFile

WAITING = 16  # candidates of a problem that may wait for an answer side by side
COMMENT = Param(
    "",
    type=["null", "string"],
    maxLength=500,
    title="Comment",
    description="Why, in your words. Stays in the ledger and with the version in MLflow.",
)


def ask(problem: ProblemFile) -> Any:
    """The task `approve`; what it returns goes to `edge.take_answer`."""
    return ApproveCandidate(
        task_id="approve",
        problem=problem,
        subject=f"{problem.title}: may a new version become the champion?",  # until the task knows which
        defaults=[ApprovalOperator.REJECT],
        params={"words": COMMENT},
        response_timeout=timedelta(hours=problem.approval_hours),
        # Airflow counts a task that waits as one that runs: the next question must not wait for the answer to the last
        max_active_tis_per_dag=WAITING,
        doc_md="Ask a person whether the candidate may become champion; skipped when none waits.",
    ).output


class ApproveCandidate(ApprovalOperator):  # type: ignore[misc]  # Airflow comes without types
    """Shows the card's essentials of the candidate that waits; nobody's answer is a rejection."""

    def __init__(self, *, problem: ProblemFile, **options: Any) -> None:
        super().__init__(**options)
        self.problem = problem

    def execute(self, context: Any) -> None:
        """Ask, and leave the worker."""
        from retraining import edge

        question, self.subject, self.body = edge.question(self.problem)
        context["ti"].xcom_push(key="question", value=question)
        edge.demand_shown(context["ti"].id, self)
        super().execute(context)

    def execute_complete(self, context: Any, event: dict[str, Any]) -> dict[str, Any]:
        """Hand on what was asked and answered; unlike Airflow's own operator it lets a rejection reach the next task."""
        said = HITLOperator.execute_complete(self, context, event)
        person = said["responded_by_user"] or {}
        return {
            "question": context["ti"].xcom_pull(task_ids=self.task_id, key="question"),
            "answer": {
                "approved": said["chosen_options"] == [self.APPROVE],
                "by": str(person.get("name") or person.get("id") or ""),
                "comment": str(said["params_input"].get("words") or ""),
            },
        }
