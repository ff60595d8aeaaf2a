"""A client of one MLflow server, with errors that say who can mend them, within a bounded time."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ml.errors import ConfigError, TransientError

if TYPE_CHECKING:
    from mlflow import MlflowClient

# MLflow's own settings would wait for minutes, though Airflow retries the task anyway, and load pickles, which run what they
# like. Whoever sets them keeps their values.
DEFAULTS = {
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
FORBIDDEN = ("UNAUTHENTICATED", "PERMISSION_DENIED", "CUSTOMER_UNAUTHORIZED")
AWAY = ("TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED", "RESOURCE_EXHAUSTED")
ABSENT = ("RESOURCE_DOES_NOT_EXIST", "NOT_FOUND")
UNREACHED = ("failed with exception", "failed with timeout", "too many 5", "Max retries exceeded", "failed with error code 5")


def client(url: str) -> "MlflowClient":
    """A client of the server at `url`; of MLflow's global state only the environment's defaults are set."""
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=url, registry_uri=url)


def code(error: Exception) -> str:
    """MLflow's name of what went wrong, empty when it gives none."""
    return str(getattr(error, "error_code", ""))


@contextmanager
def telling(url: str) -> Iterator[None]:
    """Turn MLflow's failures into ours; what the caller must judge (absent, already there) passes through.

    Raises: TransientError: the server is away or fails. ConfigError: it refuses us.
    """
    from mlflow.exceptions import MlflowException
    from requests.exceptions import RequestException

    try:
        yield
    except (MlflowException, RequestException) as error:
        text = " ".join(str(error).split())[:500]
        status = getattr(getattr(error, "response", None), "status_code", None)
        if code(error) in FORBIDDEN or status in (401, 403) or "error code 403" in text:
            raise ConfigError(
                f"MLflow at {url} refuses us: {text}. Set MLFLOW_TRACKING_USERNAME and _PASSWORD, grant the right, or start "
                "the server with --allowed-hosts for this name."
            ) from error
        if isinstance(error, RequestException) or code(error) in AWAY or any(words in text for words in UNREACHED):
            raise TransientError(f"MLflow at {url} is away or fails: {text}. Start it or wait, then run this again.") from error
        raise


def absent(error: Exception) -> bool:
    """Whether an error only says that the thing is not there."""
    return code(error) in ABSENT


def taken(error: Any) -> bool:
    """Whether an error only says that somebody made the thing first."""
    return code(error) == "RESOURCE_ALREADY_EXISTS"
