"""What all DAGs have in common: when a task is tried again, and how a DAG presents itself."""

import inspect
from datetime import timedelta
from typing import Any

from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule

from retraining import alarms
from retraining.problems import ProblemFile

# What is wrong stays wrong, so these end at the first try. All else is tried again, a failure nobody foresaw too: stages
# may be repeated, and an outage with a new name should not cost a night. A killed task process raises nothing, so no rule
# is asked: it is tried again because of `retries`.
RETRY_POLICY = ExceptionRetryPolicy(
    rules=[
        RetryRule("ml.errors.ConfigError", RetryAction.FAIL, reason="a file or setting is wrong: mend it, then clear this task"),
        RetryRule("ml.errors.DataError", RetryAction.FAIL, reason="the data are wrong: look at them, then clear this task"),
        RetryRule("ml.errors.RefusedError", RetryAction.FAIL, reason="a rule said no: trying again changes nothing"),
        RetryRule("ml.errors.TransientError", RetryAction.RETRY, reason="something is away and may be back soon"),
    ]
)

DEFAULT_ARGS: dict[str, Any] = {
    "retries": 3,
    "retry_delay": timedelta(seconds=10),  # with the factor 3 and Airflow's jitter: about 15 s, 45 s, 2 min
    "retry_exponential_backoff": 3,
    "max_retry_delay": timedelta(minutes=5),
    "retry_policy": RETRY_POLICY,
    "on_failure_callback": alarms.task_failed,
    "show_return_value_in_logs": False,  # the log has a line for people instead
    # backfills pass `max_active_runs` by: this keeps two runs of a problem from training or promoting at once
    "max_active_tis_per_dag": 1,
}

SIDE_BY_SIDE: dict[str, Any] = {"max_active_tis_per_dag": None}  # for tasks that write days: those of a backfill run in parallel
# for tasks that compute for long: with CeleryExecutor their own workers take them (docker-compose.yaml); others know no queues
TRAINING: dict[str, Any] = {"queue": "training"}
# for tasks that write pages: a night must not wait long for them, nor a slot be held by them, nor anybody be called for them
FOR_PEOPLE: dict[str, Any] = {"retries": 2, "execution_timeout": timedelta(minutes=15), "on_failure_callback": None}


# a rollout may take weeks, and a person must be able to hold or finish it meanwhile: by a run beside the one that waits
ROLLING_OUT: dict[str, Any] = {"max_active_runs": 16, "dagrun_timeout": timedelta(days=60)}


def waiting(problem: ProblemFile) -> dict[str, Any]:
    """For a DAG in which people are asked: a run lives as long as they may take, and the next night's is beside it."""
    return {"max_active_runs": 16, "dagrun_timeout": timedelta(hours=problem.approval_hours + 20)}


def arguments(kind: str, problem: ProblemFile, doc: str | None) -> dict[str, Any]:
    """What every DAG of a kind is made with.

    No start date: with one, a fresh installation would at once run the night that has just passed.
    """
    return {
        "dag_id": f"{kind}_{problem.name}",
        "description": problem.title,
        "doc_md": f"{inspect.cleandoc(doc or '')}\n\n**{problem.name}**: {problem.title}\n\n{problem.description}".strip(),
        "tags": ["evergreen", kind, problem.name],
        "default_args": DEFAULT_ARGS | {"owner": problem.owner},
        "catchup": False,
        "max_active_runs": 1,
        # a run that hangs must not take the next night with it
        "dagrun_timeout": timedelta(hours=20),
        "on_failure_callback": alarms.run_failed,
        "is_paused_upon_creation": False,
    }
