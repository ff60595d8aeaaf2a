"""Running stages by hand, in the order that the nightly DAG runs them."""

from typing import Annotated

import typer

from ml.cli.options import JsonOption, ProblemOption, by_hand, show
from ml.context import Context, open_run
from ml.errors import ConfigError
from ml.ingest import nothing_new
from ml.records import Ingested, Record

STAGES = ("ingest", "validate", "prepare", "tune", "train", "evaluate", "rehearse", "gate", "register")


def register(app: typer.Typer) -> None:
    """Add `run`."""
    app.command("run", help="Run one stage, or all of them up to the registered candidate.")(run)


def run(
    problem: ProblemOption,
    stage: Annotated[str, typer.Argument(help=f"one of {', '.join(STAGES)}; left out: all, in this order")] = "",
    run_key: Annotated[
        str, typer.Option("--run", help="names the run's folder; a used one goes on where it stopped; default: a new one")
    ] = "",
    window: Annotated[str | None, typer.Option(help="2013-01-31 or 2013-01-01/2013-02-01; default: what is new")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="decide, but register nothing")] = False,
    tune: Annotated[
        bool, typer.Option("--tune", help="search better settings before the training; else as [tune] nightly and first say")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Run stages and print what each found out."""
    if stage and stage not in STAGES:
        raise typer.BadParameter(f"{stage!r} is no stage. Stages: {', '.join(STAGES)}.")
    from ml import apart, tuned

    context = open_run(problem, run_key or by_hand("run"), window=window, dry_run=dry_run)
    if not stage:
        apart.get_ready()
    records: dict[str, Record] = {}
    for name in [stage] if stage else every(tuned.due(context, asked=tune)):
        record = records[name] = run_stage(name, context)
        if isinstance(record, Ingested) and (why := nothing_new(record, context)):
            typer.echo(f"the run ends here: {why}", err=True)
            break
    content = {name: record.model_dump(mode="json") for name, record in records.items()}
    show(content, as_json=as_json, text=f"{', '.join(records)} done; records are in {context.store.location(context.folder)}")


def every(tune: bool) -> list[str]:
    """The stages of a night; the search is one when it is asked for."""
    return [name for name in STAGES if tune or name != "tune"]


def run_stage(name: str, context: Context) -> Record:
    """Run a stage by name.

    Raises: ConfigError: no stage of that name; whatever the stage raises.
    """
    if name not in STAGES:
        raise ConfigError(f"{name!r} is no stage. Stages: {', '.join(STAGES)}.")
    from importlib import import_module

    record: Record = import_module(f"ml.{name}").run(context)
    return record
