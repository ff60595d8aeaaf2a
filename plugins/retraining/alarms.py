"""What failed becomes an alert; `dags/alerts.py` sends it. A run is told once, whichever of the callbacks comes first.

The callback of a task runs in its own process, or in the DAG processor when that was killed; the one of a run in the DAG
processor, also when the run took too long.
"""

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from retraining.problems import ProblemFile

log = logging.getLogger(__name__)


def task_failed(context: Mapping[str, Any]) -> None:
    """Tell which task failed with what kind of error; its words stay in the log, because they may quote rows."""
    task, error = context["ti"].task_id, context.get("exception")
    how = f"with {type(error).__name__}" if isinstance(error, BaseException) else "because its process died"
    _tell(context, f"`{task}` of {context['dag'].dag_id} failed at try {context['ti'].try_number} {how}")


def run_failed(context: Mapping[str, Any]) -> None:
    """Tell that a run failed, where no task of it has done so: it took too long, or cannot go on."""
    why = str(context.get("reason") or "no reason given").replace("_", " ")
    _tell(context, f"a run of {context['dag'].dag_id} failed: {why}")


def _tell(context: Mapping[str, Any], what: str) -> None:
    """Write the alert down. What goes wrong here is logged by Airflow, and the run has failed anyway."""
    from ml import context as contexts
    from ml import notify

    dag_id, run_id = context["dag"].dag_id, str(context["run_id"])
    kind, _, problem = dag_id.partition("_")
    links = {"the run in Airflow": f"/dags/{dag_id}/runs/{quote(run_id)}"}
    alert = notify.Alert(notify.failure(kind), f"{dag_id}-{run_id}", f"{what} (run {run_id})", datetime.now(UTC), links)
    if notify.raise_alert(contexts.open_run(problem, "alerts"), alert):
        log.info("People are told: %s", what)


def sweep(problem: ProblemFile) -> dict[str, Any]:
    """Send what is due.

    Raises: TransientError: a route took nothing; what should go there is tried again.
    """
    from airflow.sdk.configuration import conf

    from ml import context, notify
    from ml.errors import TransientError

    record = notify.sweep(context.open_run(problem.name, "alerts"), airflow=conf.get("api", "base_url", fallback=None))
    log.info("%s", record.sentence)
    if record.failed:
        raise TransientError(" ".join(record.failed.values()))
    return record.model_dump(mode="json")
