"""Run in a process of its own: play DAG runs on a fresh Airflow of one process, and write down how each task ended.

Usage: python run_dags.py DAG_FOLDER CASES_JSON RESULT_FILE
CASES_JSON: {case: {"dag": id, "conf": {...}, "given": regex of tasks that count as done}}
"""

import json
import sys
from pathlib import Path
from typing import Any
from uuid import uuid4


def main(folder: str, cases: str, result: str) -> None:
    from airflow.dag_processing.dagbag import DagBag
    from airflow.utils.db import initdb

    initdb()
    bag = DagBag(folder)
    found = {}
    for name, case in json.loads(cases).items():
        run = bag.dags[case["dag"]].test(run_conf=case.get("conf"), mark_success_pattern=case.get("given"))
        tasks = {task.task_id: str(task.state) for task in run.get_task_instances()}
        found[name] = {"state": str(run.state), "tasks": tasks, "run_id": run.run_id}
    die(bag)
    Path(result).write_text(json.dumps(found))


def die(bag: Any) -> None:
    """What the DAG processor does about a task whose process was killed, and about a run that took too long."""
    import structlog
    from airflow.api_fastapi.execution_api.datamodels.taskinstance import TaskInstance
    from airflow.callbacks.callback_requests import DagCallbackRequest, TaskCallbackRequest
    from airflow.dag_processing.processor import _execute_dag_callbacks, _execute_task_callbacks

    about = {"filepath": "deploy.py", "bundle_name": "dags", "bundle_version": None}
    killed = {"id": uuid4(), "task_id": "deploy", "dag_id": "deploy_flights", "run_id": "killed", "try_number": 4}
    task = TaskInstance(**killed, dag_version_id=uuid4(), queue="default", map_index=-1)
    _execute_task_callbacks(bag, TaskCallbackRequest(**about, ti=task, msg="killed"), structlog.get_logger())
    for reason, run_id in (("timed_out", "slow"), ("task_failure", "killed")):
        request = DagCallbackRequest(**about, dag_id="deploy_flights", run_id=run_id, is_failure_callback=True, msg=reason)
        _execute_dag_callbacks(bag, request, structlog.get_logger())


if __name__ == "__main__":
    main(*sys.argv[1:])
