"""Run in a process of its own: play DAG runs on a fresh Airflow of one process, and write down how each task ended.

Usage: python run_dags.py DAG_FOLDER CASES_JSON RESULT_FILE
CASES_JSON: {case: {"dag": id, "conf": {...}, "given": regex of tasks that count as done}}
"""

import json
import sys
from pathlib import Path


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
    Path(result).write_text(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
