"""Trials of a search as runs below the run that searched, once each however often they are logged."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ml.registry import runs
from ml.registry.runs import FINISHED, RUN_KEY

if TYPE_CHECKING:
    from mlflow import MlflowClient

PARENT = "mlflow.parentRunId"  # the tag by which MLflow's pages nest runs
TRIAL_OF, NUMBER = "trial_of", "trial"
MOST = 1000  # children read at once


def log(client: "MlflowClient", problem: str, run_key: str, trials: Sequence[Mapping[str, Any]], *, at: datetime) -> None:
    """Write trials that are not there yet.

    Args:
        trials: each with `number`, `params`, `metrics`, `history` (values per epoch from 1 on) and `tags`.
        at: when the search began, where its run is not known to MLflow yet.
    """
    experiment_id, started_ms = runs.experiment(client, problem), int(at.timestamp() * 1000)
    parent = runs.find(client, experiment_id, run_key)
    if parent is None:
        parent = client.create_run(experiment_id, start_time=started_ms, tags={RUN_KEY: run_key}, run_name=run_key)
        client.set_terminated(parent.info.run_id, FINISHED)  # whoever trains on will fill it
    known = client.search_runs([experiment_id], f"tags.{TRIAL_OF} = '{run_key}'", max_results=MOST)
    done = {one.data.tags[NUMBER] for one in known if one.info.status == FINISHED}
    for trial in trials:
        if str(trial["number"]) not in done:
            _log(client, experiment_id, parent.info, run_key, trial)


def _log(client: "MlflowClient", experiment_id: str, parent: Any, run_key: str, trial: Mapping[str, Any]) -> None:
    from mlflow.entities import Metric, Param, RunTag

    tags = {PARENT: parent.run_id, TRIAL_OF: run_key, NUMBER: str(trial["number"])}
    name = f"{run_key} trial {trial['number']}"
    run = client.create_run(experiment_id, start_time=parent.start_time, tags=tags, run_name=name)
    values = [(name, value, 0) for name, value in trial["metrics"].items()]
    values += [(name, value, step) for name, row in trial["history"].items() for step, value in enumerate(row, start=1)]
    client.log_batch(
        run.info.run_id,
        metrics=[Metric(name, float(value), parent.start_time, step) for name, value, step in values],
        params=[Param(name, str(value)[: runs.LONGEST_VALUE]) for name, value in trial["params"].items()],
        tags=[RunTag(name, str(value)[: runs.LONGEST_VALUE]) for name, value in trial["tags"].items()],
    )
    end_ms = parent.start_time + int(1000 * trial["metrics"].get("seconds", 0))
    client.set_terminated(run.info.run_id, FINISHED, end_time=end_ms)
