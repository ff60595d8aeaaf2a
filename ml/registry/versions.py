"""One registered version per MLflow run, however often it is registered."""

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml.problem import Problem
from ml.registry import package
from ml.registry.runs import LONGEST_VALUE, RUN_KEY
from ml.registry.server import absent, taken

if TYPE_CHECKING:
    from mlflow import MlflowClient

LONGEST_DESCRIPTION = 5000  # characters that MLflow keeps on Postgres
READY = "READY"
PER_PAGE = 1000
MODEL_DIGEST = "model_digest"


@dataclass(frozen=True)
class Candidate:
    """What becomes a version: the run's model folder, the card that describes it, and tags to find it by."""

    run_key: str
    model: Path
    model_digest: str
    card: str
    tags: Mapping[str, Any] = field(default_factory=dict)

    @property
    def all_tags(self) -> dict[str, str]:
        """The given tags, and the two that a version is found by."""
        own = {RUN_KEY: self.run_key, MODEL_DIGEST: self.model_digest}
        return {name: str(value) for name, value in {**self.tags, **own}.items()}


@dataclass(frozen=True)
class Version:
    """A registered version as MLflow has it."""

    version: int
    run_id: str
    run_key: str
    model_digest: str
    tags: Mapping[str, str]
    aliases: tuple[str, ...]


def register(client: "MlflowClient", problem: Problem, run_id: str, candidate: Candidate) -> int:
    """Number of the model's version, made if it is not there; killed at any point and started anew it ends with one.

    A run that was trained again has another model, and that gets a version of its own.

    Raises: DataError: the packed model does not answer as the training saw.
    """
    _describe_model(client, problem)
    found = [mv for mv in client.search_model_versions(f"run_id = '{run_id}'") if mv.name == problem.name]
    same = [int(mv.version) for mv in found if mv.tags.get(MODEL_DIGEST) == candidate.model_digest]
    if same:
        _describe_version(client, problem.name, min(same), candidate)
        return min(same)
    model_id = _upload(client, problem, run_id, candidate)
    made = client.create_model_version(
        problem.name,
        source=f"models:/{model_id}",
        run_id=run_id,
        model_id=model_id,
        tags=candidate.all_tags,
        description=candidate.card[:LONGEST_DESCRIPTION],
    )
    return int(made.version)


def get(client: "MlflowClient", problem: str, version: int) -> Version | None:
    """A version, None when it was deleted or never was."""
    from mlflow.exceptions import MlflowException

    try:
        found = client.get_model_version(problem, str(version))
    except MlflowException as error:
        if absent(error):
            return None
        raise
    return _version(found)


def every(client: "MlflowClient", problem: str) -> list[Version]:
    """All versions of a model, oldest first; a search leaves out the aliases."""
    found, token = [], None
    while True:
        page = client.search_model_versions(f"name = '{problem}'", max_results=PER_PAGE, page_token=token)
        found += [_version(one) for one in page]
        token = page.token
        if not token:
            return sorted(found, key=lambda version: version.version)


def tag(client: "MlflowClient", problem: str, version: int, tags: Mapping[str, str]) -> None:
    """Put tags on a version; one that was deleted meanwhile is left alone."""
    from mlflow.exceptions import MlflowException

    try:
        for name, value in tags.items():
            _set_tag(client, problem, version, name, value[:LONGEST_VALUE])
    except MlflowException as error:
        if not absent(error):
            raise


def _set_tag(client: "MlflowClient", problem: str, version: int, name: str, value: str) -> None:
    twice(lambda: client.set_model_version_tag(problem, str(version), name, value))


def twice(write: Callable[[], object]) -> None:
    """MLflow looks for an alias or tag and then inserts it: of two writers of a new one, one fails and is right the next time."""
    from mlflow.exceptions import MlflowException

    try:
        write()
    except MlflowException as error:
        if "unique" not in str(error).lower():
            raise
        write()


def alias(client: "MlflowClient", problem: str, name: str) -> int | None:
    """The version an alias stands on, None when there is no such alias or model."""
    from mlflow.exceptions import MlflowException

    try:
        return int(client.get_model_version_by_alias(problem, name).version)
    except MlflowException as error:
        if absent(error) or _says_no_alias(error):
            return None
        raise


def _version(found: Any) -> Version:
    tags = found.tags
    own = tags.get(RUN_KEY, ""), tags.get(MODEL_DIGEST, "")
    return Version(int(found.version), found.run_id, *own, tags, tuple(found.aliases or ()))


def _says_no_alias(error: Exception) -> bool:
    """MLflow calls an alias that is not there an invalid parameter."""
    return "alias" in str(error) and "not found" in str(error)


def _describe_model(client: "MlflowClient", problem: Problem) -> None:
    from mlflow.exceptions import MlflowException

    about = problem.problem
    try:
        client.create_registered_model(about.name)
    except MlflowException as error:
        if not taken(error):
            raise
    client.update_registered_model(about.name, f"**{about.title}**\n\n{about.description}\n\nOwner: {about.owner}")
    metric = problem.success.metric
    for name, value in {"task": about.task, "owner": about.owner, "metric": metric, "approval": problem.gate.approval}.items():
        client.set_registered_model_tag(about.name, name, value)


def _describe_version(client: "MlflowClient", problem: str, version: int, candidate: Candidate) -> None:
    """A run may be judged again; card and tags follow the newest verdict."""
    client.update_model_version(problem, str(version), candidate.card[:LONGEST_DESCRIPTION])
    for name, value in candidate.all_tags.items():
        _set_tag(client, problem, version, name, value)


def _upload(client: "MlflowClient", problem: Problem, run_id: str, candidate: Candidate) -> str:
    """Id of MLflow's logged model of this run, whole on the server."""
    from mlflow.entities import LoggedModelOutput
    from mlflow.models import Model

    experiment_id = client.get_run(run_id).info.experiment_id
    same = f"tags.{MODEL_DIGEST} = '{candidate.model_digest}' AND tags.{RUN_KEY} = '{candidate.run_key}'"
    found = client.search_logged_models([experiment_id], same, max_results=1)
    tags = {RUN_KEY: candidate.run_key, MODEL_DIGEST: candidate.model_digest}
    logged = found[0] if found else client.create_logged_model(experiment_id, problem.name, run_id, tags=tags)
    model_id = str(logged.model_id)
    if logged.status != READY:
        about = Model(artifact_path=logged.artifact_location, run_id=run_id, model_uuid=model_id, model_id=model_id)
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / "model"
            package.write(folder, candidate.model, problem.features, about)
            client.log_model_artifacts(model_id, str(folder))
        if model_id not in [output.model_id for output in client.get_run(run_id).outputs.model_outputs]:
            client.log_outputs(run_id, [LoggedModelOutput(model_id, step=0)])
        client.finalize_logged_model(model_id, READY)
    return model_id
