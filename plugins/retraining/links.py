"""Buttons on a task's page (Details > Extra links)."""

from typing import Any

from airflow.sdk import BaseOperatorLink


class MlflowLink(BaseOperatorLink):  # type: ignore[misc]  # Airflow comes without types
    """To the run in MLflow that `register` wrote. The worker works it out once, and Airflow keeps the address."""

    name = "MLflow"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """The address in what the task returned; empty when the task did not get that far."""
        from airflow.sdk.execution_time.xcom import XCom

        returned = XCom.get_value(ti_key=ti_key, key="return_value") or {}
        return str(returned.get("url", ""))


def to_mlflow(task: Any) -> Any:
    """The same task with the button."""
    task.operator.operator_extra_links = (MlflowLink(),)
    return task
