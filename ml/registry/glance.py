"""Where an alias stands and which versions there are, asked without MLflow's client.

A process that looks every half minute, all day, need not load it, nor a page that people wait for.
"""

import os
from collections.abc import Mapping
from typing import Any

import httpx

from ml.errors import TransientError

ALIAS, VERSIONS = "/api/2.0/mlflow/registered-models/alias", "/api/2.0/mlflow/model-versions/search"


def versions(url: str, problem: str, most: int) -> list[dict[str, Any]]:
    """The newest versions as MLflow tells them, newest first: `version`, `run_id`, `tags`, `creation_timestamp` and more.

    Raises: TransientError: the server is away, refuses us, or says what is no answer.
    """
    asked = {"filter": f"name = '{problem}'", "order_by": "version_number DESC", "max_results": str(most)}
    try:
        answer = _get(url, VERSIONS, asked, timeout_s=3)  # a person waits
        answer.raise_for_status()
        return list(answer.json().get("model_versions", []))
    except (httpx.HTTPError, ValueError) as error:
        raise TransientError(f"MLflow at {url} does not say which versions of {problem} there are: {error}") from error


def alias(url: str, problem: str, name: str) -> int | None:
    """The version an alias stands on, None when there is no such alias or model.

    Raises: TransientError: the server is away, refuses us, or says what is no answer.
    """
    try:
        answer = _get(url, ALIAS, {"name": problem, "alias": name})
        if answer.status_code in (400, 404) and answer.json().get("error_code") in (
            "RESOURCE_DOES_NOT_EXIST",
            "INVALID_PARAMETER_VALUE",  # so MLflow calls an alias that is not there
        ):
            return None
        answer.raise_for_status()
        return int(answer.json()["model_version"]["version"])
    except (httpx.HTTPError, ValueError, KeyError) as error:
        raise TransientError(f"MLflow at {url} does not say where the alias {name} of {problem} stands: {error}") from error


def _get(url: str, path: str, asked: Mapping[str, str], timeout_s: float = 10) -> httpx.Response:
    user, password = (os.environ.get(f"MLFLOW_TRACKING_{part}", "") for part in ("USERNAME", "PASSWORD"))
    token = os.environ.get("MLFLOW_TRACKING_TOKEN")
    headers = {"Authorization": f"Bearer {token}"} if token and not user else {}
    auth = (user, password) if user else None
    return httpx.get(url.rstrip("/") + path, params=asked, headers=headers, auth=auth, timeout=timeout_s, trust_env=False)
