"""Buttons on a task's page (Details > Extra links)."""

from typing import Any

from airflow.sdk import BaseOperatorLink

from retraining import labelling, pages


class MlflowLink(BaseOperatorLink):  # type: ignore[misc]  # Airflow comes without types
    """To the run in MLflow that `register` wrote. The worker works it out once, and Airflow keeps the address."""

    name = "MLflow"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """The address in what the task returned; empty when the task did not get that far."""
        from airflow.sdk.execution_time.xcom import XCom

        returned = XCom.get_value(ti_key=ti_key, key="return_value") or {}
        return str(returned.get("url", ""))


class PageLink(BaseOperatorLink):  # type: ignore[misc]
    """To one of the pages that the run writes for people."""

    page = ""

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """Where Airflow shows the page, whether it is written already or not."""
        from airflow.sdk.configuration import conf

        from retraining import runs

        _, _, problem = ti_key.dag_id.partition("_")
        here = str(conf.get("api", "base_url", fallback="")).rstrip("/")
        return here + pages.address(problem, runs.run_key(ti_key.run_id), self.page)


class ValidationLink(PageLink):
    """Which rules the batch kept, and which rows did not."""

    name, page = "Validation report", "validation.html"


class DataLink(PageLink):
    """What the data look like."""

    name, page = "Data report", "data.html"


class DossierLink(PageLink):
    """What moved, since when, where, what it costs, and what is done about it."""

    name, page = "Dossier", "dossier.html"


class DaysLink(BaseOperatorLink):  # type: ignore[misc]
    """What monitoring said over all days."""

    name = "Monitoring over time"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """Where Airflow shows the page."""
        from airflow.sdk.configuration import conf

        here = str(conf.get("api", "base_url", fallback="")).rstrip("/")
        return here + pages.over_time(ti_key.dag_id.partition("_")[2])


class MonitorLink(PageLink):
    """Requests beside what the champion learned from, drawn by Evidently."""

    name, page = "Drift report", "monitor.html"


class LabelsLink(BaseOperatorLink):  # type: ignore[misc]
    """To the page on which people label the rows that were chosen."""

    name = "Label rows"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """The page of the problem; it shows what is open, whichever run chose it."""
        from airflow.sdk.configuration import conf

        _, _, problem = ti_key.dag_id.partition("_")
        return str(conf.get("api", "base_url", fallback="")).rstrip("/") + labelling.address(problem)


class BacktestLink(PageLink):
    """Every policy on the past, side by side."""

    name, page = "Backtest report", "backtest.html"


def to_backtest(task: Any) -> Any:
    """The same task with the button to the backtest's page."""
    return _with(task, BacktestLink())


def to_mlflow(task: Any) -> Any:
    """The same task with the button to MLflow."""
    return _with(task, MlflowLink())


def to_reports(task: Any) -> Any:
    """The same task with buttons to the pages about the run's data."""
    return _with(task, ValidationLink(), DataLink())


def to_validation(task: Any) -> Any:
    """The same task with the button to the validation report."""
    return _with(task, ValidationLink())


def to_drift(task: Any) -> Any:
    """The same task with buttons to the dossier, the drift report and the page over time."""
    return _with(task, DossierLink(), MonitorLink(), DaysLink())


def to_labels(task: Any) -> Any:
    """The same task with the button to the page to label on."""
    return _with(task, LabelsLink())


def _with(task: Any, *buttons: Any) -> Any:
    task.operator.operator_extra_links = buttons
    return task
