"""The registry as the stages use it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from ml.problem import Problem
from ml.registry import glance, runs, versions
from ml.registry import trials as trials_
from ml.registry.runs import Run
from ml.registry.server import client, telling
from ml.registry.versions import Candidate, Version

if TYPE_CHECKING:
    from mlflow import MlflowClient

MODE = "workflowType=machine_learning"  # else MLflow opens among prompts and traces, without a way to the models


@dataclass(frozen=True)
class Registry:
    """An MLflow server. Every method raises TransientError when it is away or fails, ConfigError when it refuses us."""

    url: str

    @cached_property
    def _client(self) -> "MlflowClient":
        return client(self.url)

    def log_run(self, problem: str, run: Run) -> str:
        """Write a run, once per run key, into the experiment named after the problem; returns MLflow's run id."""
        with telling(self.url):
            return runs.log(self._client, problem, run)

    def log_trials(self, problem: str, run_key: str, trials: Sequence[Mapping[str, Any]], *, at: datetime) -> None:
        """Write the trials of a search as runs below the run of that key, once each."""
        with telling(self.url):
            trials_.log(self._client, problem, run_key, trials, at=at)

    def log_day(
        self, problem: str, run_key: str, figures: Mapping[str, float], tags: Mapping[str, str], *, at: datetime, step: int
    ) -> bool:
        """Add a day's figures to the run of that key, once however often, and set its tags; False when there is no such run."""
        with telling(self.url):
            return runs.log_day(self._client, problem, run_key, (figures, tags), (int(at.timestamp() * 1000), step))

    def replace_file(self, problem: str, run_key: str, name: str, path: Path) -> bool:
        """Put a file in the place of the run's artifact of that name; False when there is no such artifact."""
        with telling(self.url):
            return runs.replace(self._client, problem, run_key, name, path)

    def create_version(self, problem: Problem, run_id: str, candidate: Candidate) -> int:
        """Register the run's model, once per run, and put the alias `candidate` on it.

        Raises: DataError: loaded through MLflow the model does not answer as the training saw.
        """
        with telling(self.url):
            version = versions.register(self._client, problem, run_id, candidate)
            self._set_alias(problem.name, "candidate", version)
            return version

    def tag_version(self, problem: str, version: int, tags: Mapping[str, str]) -> None:
        """Put tags on a version; one that was deleted meanwhile is left alone."""
        with telling(self.url):
            versions.tag(self._client, problem, version, tags)

    def version(self, problem: str, version: int) -> Version | None:
        """A version, None when it was deleted or never was."""
        with telling(self.url):
            return versions.get(self._client, problem, version)

    def versions(self, problem: str) -> list[Version]:
        """All versions of the problem's model, oldest first; none before the first."""
        with telling(self.url):
            return versions.every(self._client, problem)

    def alias(self, problem: str, name: str) -> int | None:
        """The version an alias stands on, None when there is no such alias or model."""
        with telling(self.url):
            return versions.alias(self._client, problem, name)

    def glance(self, problem: str, name: str) -> int | None:
        """As `alias`, without loading MLflow's client; for who looks all day."""
        return glance.alias(self.url, problem, name)

    def newest(self, problem: str, most: int) -> list[dict[str, Any]]:
        """The newest versions, newest first, without loading MLflow's client; for pages."""
        return glance.versions(self.url, problem, most)

    def set_alias(self, problem: str, name: str, version: int) -> None:
        """Put an alias on a version; the same again changes nothing."""
        with telling(self.url):
            self._set_alias(problem, name, version)

    def _set_alias(self, problem: str, name: str, version: int) -> None:
        versions.twice(lambda: self._client.set_registered_model_alias(problem, name, str(version)))

    def version_url(self, problem: str, version: int) -> str:
        """Deep link to a version's page."""
        return self._page(f"models/{quote(problem)}/versions/{version}")

    def model_url(self, problem: str) -> str:
        """Deep link to the page that lists a model's versions."""
        return self._page(f"models/{quote(problem)}")

    def run_url(self, problem: str, run_id: str) -> str:
        """Deep link to a run's page."""
        with telling(self.url):
            experiment_id = runs.experiment(self._client, problem)
        return self._page(f"experiments/{experiment_id}/runs/{run_id}")

    def _page(self, path: str) -> str:
        return f"{self.url.rstrip('/')}/#/{path}?{MODE}"
