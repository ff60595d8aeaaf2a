"""Registers with Airflow what `retraining` adds to it."""

from airflow.plugins_manager import AirflowPlugin
from retraining.links import MlflowLink


class RetrainingPlugin(AirflowPlugin):  # type: ignore[misc]  # Airflow comes without types
    """Listed under Admin > Plugins, so that one sees at a glance whether Airflow found the package."""

    name = "retraining"
    operator_extra_links = [MlflowLink()]  # noqa: RUF012 - Airflow's own interface
