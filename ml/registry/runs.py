"""One MLflow run per run key, however often it is logged."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml.registry.server import taken

if TYPE_CHECKING:
    from mlflow import MlflowClient

RUN_KEY = "run_key"
NOTE = "mlflow.note.content"  # the tag that a run's page shows as its description
FINISHED = "FINISHED"
PARAMS_PER_BATCH, TAGS_PER_BATCH, METRICS_PER_BATCH = 100, 100, 1000  # the server's limits
LONGEST_VALUE = 5000  # characters of a param or tag that every backend keeps
DIGEST_LENGTH = 36  # characters of a dataset digest that MLflow keeps


@dataclass(frozen=True)
class Data:
    """The rows a run learned from. MLflow's own digest looks at a sample of rows only, so we bring ours."""

    name: str
    digest: str
    source: str
    profile: str = "{}"


@dataclass(frozen=True)
class Run:
    """What is to be seen of a run in MLflow; `card` is its description.

    `metrics` are final values, `history` values per epoch from 1 on, `files` what will lie in its artifacts, files and folders.
    """

    run_key: str
    at: datetime
    seconds: float
    data: Data
    card: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    history: Mapping[str, Sequence[float]] = field(default_factory=dict)
    tags: Mapping[str, Any] = field(default_factory=dict)
    files: Sequence[Path] = ()


def experiment(client: "MlflowClient", problem: str) -> str:
    """Id of the problem's experiment, made or brought back if it is not there."""
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(problem)
    if found is None:
        try:
            return str(client.create_experiment(problem))
        except MlflowException as error:
            if not taken(error):
                raise
            found = client.get_experiment_by_name(problem)
    if found.lifecycle_stage == "deleted":
        client.restore_experiment(found.experiment_id)
    return str(found.experiment_id)


def find(client: "MlflowClient", experiment_id: str, run_key: str) -> Any:
    """The MLflow run of a run key, the oldest if there are several, None if there is none."""
    condition = f"tags.{RUN_KEY} = '{run_key}'"
    found = client.search_runs([experiment_id], condition, max_results=1, order_by=["attributes.start_time ASC"])
    return found[0] if found else None


def log(client: "MlflowClient", problem: str, run: Run) -> str:
    """Write a run to MLflow and return its id.

    Started anew after a kill it finds its own run by tag and writes the same values over it. A finished one is left as it
    is, unless its tags have changed: then the run was judged or trained again.
    """
    experiment_id = experiment(client, problem)
    started_ms = int(run.at.timestamp() * 1000)
    found = find(client, experiment_id, run.run_key)
    if found is None:
        tags = {RUN_KEY: run.run_key}
        found = client.create_run(experiment_id, start_time=started_ms, tags=tags, run_name=run.run_key)
    run_id = str(found.info.run_id)
    if found.info.status != FINISHED or not _tags(run).items() <= found.data.tags.items():
        _log_data(client, run_id, run.data)
        for path in run.files:
            if path.is_dir():
                client.log_artifacts(run_id, str(path), path.name)
            else:
                client.log_artifact(run_id, str(path))
        _log_values(client, run_id, run, found)
        client.set_terminated(run_id, FINISHED, end_time=found.info.start_time + int(run.seconds * 1000))
    return run_id


def replace(client: "MlflowClient", problem: str, run_key: str, name: str, path: Path) -> bool:
    """Put a file in the place of the run's artifact of that name; False when there is none."""
    found = client.get_experiment_by_name(problem)
    run = find(client, found.experiment_id, run_key) if found else None
    folder = name.rpartition("/")[0]
    if run is None or name not in [one.path for one in client.list_artifacts(run.info.run_id, folder or None)]:
        return False
    client.log_artifact(run.info.run_id, str(path), folder or None)
    return True


def log_day(
    client: "MlflowClient",
    problem: str,
    run_key: str,
    values: tuple[Mapping[str, float], Mapping[str, str]],
    at: tuple[int, int],
) -> bool:
    """Add metrics to a run and set tags; False when there is no such run. MLflow keeps a value of the same moment and step once.

    Args:
        values: metrics and tags by name.
        at: milliseconds since 1970, and the step.
    """
    from mlflow.entities import Metric, RunTag

    found = client.get_experiment_by_name(problem)
    run = find(client, found.experiment_id, run_key) if found else None
    if run is None:
        return False
    metrics = [Metric(_name(name), float(value), *at) for name, value in values[0].items()]
    for batch in _batches(metrics, METRICS_PER_BATCH):
        client.log_batch(run.info.run_id, metrics=batch)
    client.log_batch(run.info.run_id, tags=[RunTag(_name(name), value[:LONGEST_VALUE]) for name, value in values[1].items()])
    return True


def _tags(run: Run) -> dict[str, str]:
    return {name: str(value)[:LONGEST_VALUE] for name, value in {**run.tags, NOTE: run.card}.items()}


def _log_values(client: "MlflowClient", run_id: str, run: Run, found: Any) -> None:
    """Params, metrics and tags in few requests.

    MLflow never changes a param. Where a run is judged anew under another policy, the new value becomes a tag beside it.

    Epochs carry the start of the run as their time, so that a second writing is the same; final values carry the present,
    because MLflow shows the newest.
    """
    from mlflow.entities import Metric, Param, RunTag

    started_ms, held = found.info.start_time, found.data.params
    wanted = {_name(name): str(value)[:LONGEST_VALUE] for name, value in run.params.items()}
    params = [Param(name, value) for name, value in wanted.items() if name not in held]
    tags = [RunTag(name, value) for name, value in _tags(run).items()]
    tags += [RunTag(f"now.{name}", value) for name, value in wanted.items() if held.get(name, value) != value]
    metrics = [Metric(_name(name), float(value), int(run.at.timestamp() * 1000), 0) for name, value in run.metrics.items()]
    for name, values in run.history.items():
        metrics += [Metric(_name(name), float(value), started_ms, epoch) for epoch, value in enumerate(values, start=1)]
    for batch in _batches(params, PARAMS_PER_BATCH):
        client.log_batch(run_id, params=batch)
    for batch in _batches(metrics, METRICS_PER_BATCH):
        client.log_batch(run_id, metrics=batch)
    for batch in _batches(tags, TAGS_PER_BATCH):
        client.log_batch(run_id, tags=batch)


def _log_data(client: "MlflowClient", run_id: str, data: Data) -> None:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    dataset = Dataset(data.name, data.digest[:DIGEST_LENGTH], "delta_table", data.source, profile=data.profile)
    client.log_inputs(run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])])


def _name(text: str) -> str:
    """A name that MLflow takes."""
    return re.sub(r"[^\w\-. :/]", "_", text)


def _batches(items: Sequence[Any], size: int) -> Iterator[list[Any]]:
    return (list(items[start : start + size]) for start in range(0, len(items), size))
