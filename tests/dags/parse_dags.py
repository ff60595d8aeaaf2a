"""Run in a process of its own: parse the DAG folder as Airflow does, and write down what came out as JSON.

Usage: python parse_dags.py DAG_FOLDER RESULT_FILE
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import pendulum


def main(folder: str, result: str) -> None:
    from airflow.dag_processing.dagbag import DagBag
    from airflow.serialization.serialized_objects import DagSerialization
    from airflow.timetables.base import TimeRestriction

    month = [pendulum.datetime(2013, 1, day, tz="UTC") for day in (1, 31)]
    asked = {"scheduler": TimeRestriction(None, None, catchup=False), "backfill": TimeRestriction(*month, catchup=True)}
    before = time.process_time()
    bag = DagBag(folder, collect_dags=True)
    seconds = time.process_time() - before
    modules = sorted(sys.modules)  # before serialization, which is the dag processor's work and not the files'
    serialized = {name: DagSerialization.to_dict(dag)["dag"] for name, dag in bag.dags.items()}
    for name, dag in bag.dags.items():
        starts = DagSerialization.from_dict({"__version": 3, "dag": serialized[name]}).timetable
        serialized[name]["wiring"] = {task.task_id: sorted(task.downstream_task_ids) for task in dag.tasks}
        serialized[name]["docs"] = {task.task_id: task.doc_md for task in dag.tasks}
        serialized[name]["outlets"] = {task.task_id: [asset.name for asset in task.outlets] for task in dag.tasks}
        fields = {field: dag.params.get_param(field) for field in dag.params}
        serialized[name]["form"] = {field: param.schema | {"default": param.value} for field, param in fields.items()}
        serialized[name]["next"] = {
            who: str(starts.next_dagrun_info(last_automated_data_interval=None, restriction=limits))
            for who, limits in asked.items()
        }
        serialized[name]["side_by_side"] = {task.task_id: task.max_active_tis_per_dag for task in dag.tasks}
        serialized[name]["queues"] = {task.task_id: task.queue for task in dag.tasks}
        asking = [task for task in dag.tasks if hasattr(task, "assigned_users")]
        serialized[name]["approvers"] = {task.task_id: [user["id"] for user in task.assigned_users or []] for task in asking}
        serialized[name]["tries"] = {task.task_id: tries(task) for task in dag.tasks}
    found = {
        "dags": serialized,
        "import_errors": bag.import_errors,
        "warnings": bag.captured_warnings,
        "modules": modules,
        "seconds": seconds,
    }
    Path(result).write_text(json.dumps(found, default=str))


def tries(task: Any) -> dict[str, Any]:
    """How the task's policy answers each kind of failure, asked as the worker asks it."""
    from ml import errors

    kinds = (errors.ConfigError, errors.DataError, errors.RefusedError, errors.TransientError, KeyError)
    actions = {kind.__name__: task.retry_policy.evaluate(kind("x"), 1, task.retries).action.value for kind in kinds}
    return actions | {"retries": task.retries, "first_delay": task.retry_delay.total_seconds()}


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
