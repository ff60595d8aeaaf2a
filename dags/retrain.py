"""Retrain: fresh production rows become a candidate with a verdict. Only the gate says whether it may serve.

Starts every night, on drift, or by hand (Trigger, with a window, a reason, dry run, a search for better settings).

Triage:

- **A task failed at try 1**: the data, a file or a setting is wrong. The last line of its log says what and how to mend
  it. Mend it, then clear the task: finished stages are not repeated.
- **A task is up for retry**: something is away (database, MLflow, disk). It is tried three more times within minutes,
  then fails; the next night reads the missed days too.
- **`ingest` skipped**: the source holds nothing new, or drift was answered by another run. Not a fault.
- **`validate` failed**: too many rows broke a rule, or the batch as a whole did. The log names the rules; every row is in
  the table `raw`, none went further. Mend the source and clear from `ingest` on, or the suite and clear `validate`.
- **`decide` skipped**: not a fault. Its log, its XCom `why` and `python -m ml ledger show` say why the night needs no
  training: nothing that is new helps, the last training is young, the month's minutes are spent. To train all the same,
  trigger this DAG by hand. A backfill ends here too: it brings data, and the next night learns from them.
- **`prepare` failed**: too few labelled days for [split], or a class is missing; the log says which.
- **`train` failed**: the loss was not finite, or the watchdog ended a training that hung or took too much memory.
- **`evaluate` failed**: the champion's files are away or cannot be read. **`register` failed**: MLflow refuses the version.
- **`rehearse` failed**: a model could not be loaded, or its process died (memory?); the log says which.
- **`gate` says reject or not assessable**: a decision, not a fault. The rules and their values are in its log and, with
  plots, in MLflow (button on `register`, Details > Extra links).
- **`report` failed**: only pages for people are missing; nothing depends on them, and the run is not failed by it. It also
  runs when `validate` failed: its button "Validation report" shows which rules broke, with examples.
- **`announce` skipped**: no promotion is due, because the verdict was no or the run was a dry one.
"""

from typing import Any

from airflow.sdk import chain, dag, task, teardown
from retraining import assets, defaults, edge, forms, links, problems, runs, schedules
from retraining.problems import ProblemFile

STAGES = {
    "validate": "Check the rows against the expectation suite; bad rows go to `quarantine`, each with its rules.",
    "prepare": "Freeze the snapshot: which labelled rows teach, stop the training, and judge.",
    "evaluate": "Score candidate, champion and baselines on the same rows.",
    "rehearse": "Let candidate and champion answer what was asked lately: other answers, latency, memory, cold start.",
    "gate": "Decide: promote, reject or not assessable, rule by rule.",
    "register": "Log the run in MLflow, and make a version there when the verdict says promote.",
}


def build(problem: ProblemFile) -> None:
    """The DAG `retrain_<problem>`."""

    @dag(schedule=schedules.retrain(problem), params=forms.retrain(), **defaults.arguments("retrain", problem, __doc__))
    def retrain() -> None:
        validate = links.to_validation(stage("validate", problem, **defaults.SIDE_BY_SIDE))
        heavy = ("prepare", "evaluate", "rehearse")
        prepare, evaluate, rehearse = (stage(name, problem, **defaults.TRAINING) for name in heavy)
        gate = stage("gate", problem)
        register = links.to_mlflow(stage("register", problem))
        chain(ingest(problem), validate, decide(problem), prepare, train(problem), evaluate, rehearse, gate)
        chain(gate, register, announce(problem))
        validate >> links.to_reports(report(problem))

    retrain()


def stage(name: str, problem: ProblemFile, **options: Any) -> Any:
    """A task that runs the stage `ml.<name>` and does nothing else."""

    @task(task_id=name, doc_md=STAGES[name], **options)
    def run() -> dict[str, Any]:
        return edge.run_stage(name, problem)

    return run()


def ingest(problem: ProblemFile) -> Any:
    """The first task, which finds out whether there is anything to do."""

    @task(**defaults.SIDE_BY_SIDE)
    def ingest() -> dict[str, Any]:
        """Copy the window's rows from production into the table `raw`; skipped when there is nothing new."""
        from ml import ingest as stage

        context = edge.begin_retrain(problem)
        record = stage.run(context)
        edge.skip_night(context, stage.nothing_new(record, context))
        return edge.done(record)

    return ingest()


def decide(problem: ProblemFile) -> Any:
    """The task at which a night ends that needs no training, and every backfill."""

    @task
    def decide() -> dict[str, Any]:
        """Ask the policy whether this night trains, and from which days; skipped, with the reason, when it does not."""
        return edge.decided(runs.open_run(problem))

    return decide()


def train(problem: ProblemFile) -> Any:
    """The task that makes the candidate."""

    @task(**defaults.TRAINING)
    def train() -> dict[str, Any]:
        """Fit the network and export it so that it takes raw rows; where it was asked for, search better settings first."""
        edge.tune_if_asked(problem)
        return edge.run_stage("train", problem)

    return train()


def announce(problem: ProblemFile) -> Any:
    """The last task, which wakes the DAG `promote_<problem>`."""

    @task(outlets=[assets.candidate(problem.name)])
    def announce() -> dict[str, Any]:
        """Tick off the drift that asked for this, and start `promote` when a promotion, or a person's answer, is due."""
        from ml import monitor

        context = runs.open_run(problem)
        monitor.answer(context)
        return edge.announce(context, "promote", "approve")

    return announce()


def report(problem: ProblemFile) -> Any:
    """The task beside the others: it runs whatever became of `validate`, and decides nothing about the run."""

    @teardown(on_failure_fail_dagrun=False)
    @task(**defaults.FOR_PEOPLE)
    def report() -> list[str]:
        """Write the pages about the run's data for people: what was validated, and what the data look like."""
        from ml import report as pages

        written = pages.run(runs.open_run(problem))
        edge.skip_if(None if written else "the validation of this run has no result that could be shown")
        return written

    return report()


for found in problems.readable():
    build(found)
