"""Retrain: fresh production rows become a candidate with a verdict. Only the gate says whether it may serve.

Starts every night, on drift, or by hand (Trigger, with a window, a reason, dry run).

Triage:

- **A task failed at try 1**: the data, a file or a setting is wrong. The last line of its log says what and how to mend
  it. Mend it, then clear the task: finished stages are not repeated.
- **A task is up for retry**: something is away (database, MLflow, disk). It is tried three more times within minutes,
  then fails; the next night reads the missed days too.
- **`ingest` skipped**: the source holds nothing new, or drift was answered by another run. Not a fault.
- **`validate` failed**: too many rows broke a rule, or the batch as a whole did. The log names the rules; every row is in
  the table `raw`, none went further. Mend the source and clear from `ingest` on, or the suite and clear `validate`.
- **`gate` says reject or not assessable**: a decision, not a fault. The rules and their values are in its log and, with
  plots, in MLflow (button on `register`, Details > Extra links).
- **`announce` skipped**: no promotion is due, because the verdict was no, the run was a dry one, or a person decides.
"""

from typing import Any

from airflow.sdk import chain, dag, task
from retraining import assets, defaults, edge, forms, links, problems, schedules
from retraining.problems import ProblemFile

STAGES = {
    "validate": "Check the rows against the expectation suite; bad rows go to `quarantine`, each with its rule.",
    "prepare": "Freeze the snapshot: which labelled rows teach, stop the training, and judge.",
    "train": "Fit the network and export it so that it takes raw rows.",
    "evaluate": "Score candidate, champion and baseline on the same rows.",
    "gate": "Decide: promote, reject or not assessable, rule by rule.",
}


def build(problem: ProblemFile) -> None:
    """The DAG `retrain_<problem>`."""

    @dag(schedule=schedules.retrain(problem), params=forms.retrain(), **defaults.arguments("retrain", problem, __doc__))
    def retrain() -> None:
        @task
        def ingest() -> dict[str, Any]:
            """Copy the window's rows from production into the table `raw`; skipped when there is nothing new."""
            from ml import ingest as stage

            context = edge.begin_retrain(problem)
            record = stage.run(context)
            edge.skip_if(stage.nothing_new(record, context))
            return edge.done(record)

        @task
        def register() -> dict[str, Any]:
            """Log the run in MLflow, and make a version there when the verdict says promote."""
            return edge.run_stage("register", problem)

        @task(outlets=[assets.candidate(problem.name)])
        def announce() -> dict[str, Any]:
            """Tick off the drift that asked for this, and start `promote` when a promotion is due."""
            context = edge.open_run(problem)
            edge.answer_drift(context)
            return edge.announce(context, "promote")

        def stage(name: str) -> Any:
            @task(task_id=name, doc_md=STAGES[name])
            def run() -> dict[str, Any]:
                return edge.run_stage(name, problem)

            return run()

        chain(ingest(), *map(stage, STAGES), links.to_mlflow(register()), announce())

    retrain()


for found in problems.readable():
    build(found)
