"""The prediction service as deployment sees it: moves a version, asks, and sorts what can go wrong by who can mend it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from ml.errors import ConfigError, RefusedError, TransientError
from ml.ledger import Champion
from ml.rollout.story import about

TIMEOUT_S = 300.0  # loading a large model on a busy machine


@dataclass(frozen=True)
class PredictionService:
    """One problem of the service at `url`.

    Every method raises TransientError when the service is away or in trouble, ConfigError when it does not accept the token
    or does not know the problem, and RefusedError when it says no to what was asked.
    """

    url: str
    token: str = field(repr=False)
    problem: str

    @property
    def predict_url(self) -> str:
        """Where clients send rows."""
        return f"{self.url.rstrip('/')}/problems/{self.problem}/predict"

    def put(self, version: int, run_key: str, model_digest: str) -> None:
        """Make a version live."""
        self._send("PUT", "/version", json={"version": version, "run_key": run_key, "model_digest": model_digest})

    def attempt(self, before: Champion, plan: Mapping[str, Any]) -> None:
        """Try a challenger beside the version that serves, as the plan says; twice the same changes nothing."""
        self._send("PUT", "/rollout", json={"version": about(before), "plan": plan})

    def rollout(self) -> dict[str, Any] | None:
        """What is tried and how that goes, or why the last one was stopped; None when neither."""
        found: dict[str, Any] | None = self._send("GET", "")["rollout"]
        return found

    def withdraw(self) -> None:
        """Let nothing answer."""
        self._send("DELETE", "/version")

    def predict(self, request: dict[str, object]) -> dict[str, Any]:
        """Score rows as a client would, but outside the request log: a check is no traffic."""
        return self._send("POST", "/predict", params={"log": "false"}, json=request)

    def version(self) -> int | None:
        """The version that is live."""
        found: int | None = self._send("GET", "")["version"]
        return found

    def _send(self, method: str, path: str, **content: Any) -> dict[str, Any]:
        url = f"{self.url.rstrip('/')}/problems/{self.problem}{path}"
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        try:
            with httpx.Client(timeout=TIMEOUT_S, trust_env=False) as client:  # an outward proxy does not know our service
                response = client.request(method, url, headers=headers, **content)
        except httpx.TransportError as error:
            raise TransientError(
                f"The prediction service does not answer at {self.url} ({error}). Start it with `python -m ml.serving`, or "
                "correct EVERGREEN_SERVING_URL; this task then tries again."
            ) from error
        return _judged(response, f"{method} {url}")


def _judged(response: httpx.Response, what: str) -> dict[str, Any]:
    try:
        content = response.json()
    except ValueError as error:
        raise TransientError(
            f"{what} answered {response.status_code} and no JSON: {response.text[:200]!r}. Is it our service that answers there?"
        ) from error
    if response.is_success:
        found: dict[str, Any] = content
        return found
    told = f"{what} answered {response.status_code}: {content.get('error', content) if isinstance(content, dict) else content}"
    if response.status_code in (401, 403):
        raise ConfigError(f"{told} Give the service and the pipeline the same EVERGREEN_SERVING_TOKEN.")
    if response.status_code == 404:
        raise ConfigError(f"{told} Give the service the pipeline's EVERGREEN_PROBLEMS and restart it.")
    if response.status_code in (409, 422):
        raise RefusedError(told)
    raise TransientError(told)
