"""Searching better settings by hand."""

from typing import Annotated

import typer

from ml import past
from ml.cli.options import JsonOption, ProblemOption, show, table
from ml.context import Context, open_run
from ml.errors import DataError
from ml.tune.trial import Trial


def register(app: typer.Typer) -> None:
    """Add `tune`."""
    app.command("tune", help="Search better settings of the network on the rows of a prepared run; trainings use them then.")(
        tune
    )


def tune(
    problem: ProblemOption,
    run_key: Annotated[
        str, typer.Option("--run", help="a run whose rows are prepared; the same again goes on; default: the newest")
    ] = "",
    trials: Annotated[int | None, typer.Option(min=1, help="most trials; default: [tune] trials")] = None,
    minutes: Annotated[float | None, typer.Option(min=0.01, help="for all trials; default: [tune] budget_minutes")] = None,
    ladder: Annotated[bool | None, typer.Option(help="climb the capacity ladder first; default: [tune] ladder")] = None,
    as_json: JsonOption = False,
) -> None:
    """Run the search and print its trials in their order."""
    from dataclasses import replace

    from ml import tune as stage
    from ml.tune.stage import TRIALS

    context = open_run(problem, run_key or "any")
    context = context if run_key else context.of_run(newest(context))
    asked = {"trials": trials, "budget_minutes": minutes, "ladder": ladder}
    section = context.problem.tune.model_copy(update={name: value for name, value in asked.items() if value is not None})
    context = replace(context, problem=context.problem.model_copy(update={"tune": section}))
    record = stage.run(context)
    held = [Trial.model_validate(one) for one in context.store.read_json(context.name(TRIALS))["trials"]]
    rows = [_row(trial) for trial in held]
    text = f"{table(rows, ['trial', 'kind', 'value', 'deviation', 'seconds', 'settings'])}\n{record.sentence}"
    show(record.model_dump(mode="json") | {"all": rows}, as_json=as_json, text=text)


def newest(context: Context) -> str:
    """The key of the newest run whose rows are prepared.

    Raises: DataError: there is none.
    """
    found = [run.run_key for run in past.runs(context) if run.prepared]
    if not found:
        raise DataError(
            "No run has prepared rows to search on. Begin one: python -m ml run ingest, then validate and prepare, with --run."
        )
    return found[-1]


def _row(trial: Trial) -> dict[str, object]:
    scores = trial.scores
    value, deviation = (scores.value, scores.deviation) if scores else (None, None)
    told = {"value": value and f"{value:.4f}", "deviation": deviation and f"{deviation:.4f}", "seconds": trial.seconds}
    return {"trial": trial.number, "kind": trial.kind, **told, "settings": trial.values or trial.failure or "as they are"}
