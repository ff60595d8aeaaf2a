"""The whole system on one machine with nothing installed: PostgreSQL, MLflow, Airflow and the prediction service."""

from ml.embedded.postgres import Postgres
from ml.embedded.stack import Stack

__all__ = ["Postgres", "Stack"]
