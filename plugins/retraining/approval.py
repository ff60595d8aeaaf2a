"""The question to a person, as one of Airflow's required actions: a task that waits without worker, pool slot or triggerer.

It only carries question and answer. What they are worth is judged and written down by the task after it, so that an answer
that a person has given is never asked for again because a database was away.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.hitl import ApprovalOperator, HITLOperator
from airflow.sdk import Param, get_current_context

from retraining import edge, runs
from retraining.problems import ProblemFile

if TYPE_CHECKING:
    from ml.context import Context

WAITING = 16  # candidates of a problem that may wait for an answer side by side
COMMENT = Param(
    "",
    type=["null", "string"],
    maxLength=500,
    title="Comment",
    description="Why, in your words. Stays in the ledger and with the version in MLflow.",
)


def ask(problem: ProblemFile) -> Any:
    """The task `approve`; what it returns goes to `take_answer`."""
    return ApproveCandidate(
        task_id="approve",
        problem=problem,
        subject=f"{problem.title}: may a new version become the champion?",  # until the task knows which
        defaults=[ApprovalOperator.REJECT],
        params={"words": COMMENT},
        assigned_users=[{"id": user, "name": user} for user in problem.approvers],
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
        question, self.subject, self.body = _question(self.problem)
        context["ti"].xcom_push(key="question", value=question)
        _demand_shown(context["ti"].id, self)
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


def take_answer(context: "Context", answered: Mapping[str, Any]) -> dict[str, Any]:
    """Write down what a person said; skipped when that was no. Returns what is to be promoted: what is due."""
    from ml import approve
    from ml.records import Answer, Question

    said = Answer.model_validate(answered["answer"])
    if not approve.answer(context, Question.model_validate(answered["question"]), said):
        edge.skip(
            f"rejected by {said.by}: {said.comment or 'no comment'}" if said.by else "nobody answered in time, which is a no"
        )
    return {}


def _question(problem: ProblemFile) -> tuple[dict[str, Any], str, str]:
    """What a person is to be asked: bound to digests, in one line, and in Markdown; skipped when nobody has to be."""
    from ml import approve

    context, airflow = runs.open_run(problem), get_current_context()
    by_hand = airflow["dag_run"].run_type.value == "manual"
    asked = approve.ask(context, version=airflow["params"].get("version"), again=by_hand)
    if asked is None:
        edge.skip("no candidate waits for an answer that nobody was asked for yet")
    return asked.model_dump(mode="json"), approve.subject(context, asked), approve.body(context, asked)


def _demand_shown(instance_id: Any, operator: Any) -> None:
    """Let Airflow show the question, and make sure that it does.

    Airflow keeps the first question of a task: one that is cleared and asks anew would show the old text, and an answer
    to that says nothing about the new candidate.

    Raises: RefusedError: it shows another one.
    """
    from airflow.sdk.execution_time.comms import CreateHITLDetailPayload
    from airflow.sdk.execution_time.task_runner import SUPERVISOR_COMMS

    from ml.errors import RefusedError

    about = {name: getattr(operator, name) for name in ("options", "subject", "body", "defaults", "multiple", "assigned_users")}
    shown = SUPERVISOR_COMMS.send(CreateHITLDetailPayload(ti_id=instance_id, params=operator.serialized_params, **about))
    if shown.body != operator.body:
        raise RefusedError(
            "This task has asked before, about something else, and Airflow goes on showing that. Trigger this DAG anew to be "
            "asked about the newest candidate."
        )
