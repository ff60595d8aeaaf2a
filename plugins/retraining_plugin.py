"""Registers with Airflow what `retraining` adds to it."""

from airflow.plugins_manager import AirflowPlugin
from retraining import pages
from retraining.links import BacktestLink, DataLink, DaysLink, DossierLink, LabelsLink, MlflowLink, MonitorLink, ValidationLink
from retraining.timetables import ReplayedCronTimetable


class RetrainingPlugin(AirflowPlugin):  # type: ignore[misc]  # Airflow comes without types
    """Listed under Admin > Plugins, so that one sees at a glance whether Airflow found the package."""

    name = "retraining"
    operator_extra_links = [  # noqa: RUF012 - Airflow's own interface
        MlflowLink(),
        ValidationLink(),
        DataLink(),
        DossierLink(),
        MonitorLink(),
        DaysLink(),
        LabelsLink(),
        BacktestLink(),
    ]
    timetables = [ReplayedCronTimetable]  # noqa: RUF012
    external_views = [  # noqa: RUF012
        {"name": "Evergreen", "href": f"{pages.PREFIX}/", "destination": "nav", "url_route": "evergreen", "nav_top_level": True}
    ]
    fastapi_apps = [{"app": pages.Pages(), "url_prefix": pages.PREFIX, "name": "Evergreen: pages of runs"}]  # noqa: RUF012
