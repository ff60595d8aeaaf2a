"""Where an alias stands, asked without MLflow's client: a process that looks every half minute, all day, need not load it."""

import os

import httpx

from ml.errors import TransientError

PATH = "/api/2.0/mlflow/registered-models/alias"


def alias(url: str, problem: str, name: str) -> int | None:
    """The version an alias stands on, None when there is no such alias or model.

    Raises: TransientError: the server is away, refuses us, or says what is no answer.
    """
    user, password = (os.environ.get(f"MLFLOW_TRACKING_{part}", "") for part in ("USERNAME", "PASSWORD"))
    token = os.environ.get("MLFLOW_TRACKING_TOKEN")
    headers = {"Authorization": f"Bearer {token}"} if token and not user else {}
    auth = (user, password) if user else None
    try:
        answer = httpx.get(
            url.rstrip("/") + PATH,
            params={"name": problem, "alias": name},
            headers=headers,
            auth=auth,
            timeout=10,
            trust_env=False,
        )
        if answer.status_code in (400, 404) and answer.json().get("error_code") in (
            "RESOURCE_DOES_NOT_EXIST",
            "INVALID_PARAMETER_VALUE",  # so MLflow calls an alias that is not there
        ):
            return None
        answer.raise_for_status()
        return int(answer.json()["model_version"]["version"])
    except (httpx.HTTPError, ValueError, KeyError) as error:
        raise TransientError(f"MLflow at {url} does not say where the alias {name} of {problem} stands: {error}") from error
