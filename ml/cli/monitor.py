"""Monitoring by hand: a look at the last days, or at any window of the past."""

from typing import Annotated

import typer

from ml.cli.options import JsonOption, ProblemOption, by_hand, show
from ml.context import open_run


def register(app: typer.Typer) -> None:
    """Add `monitor`."""
    app.command("monitor", help="Judge requests and their labels, now or in any window of the past; writes the pages.")(monitor)


def monitor(
    problem: ProblemOption,
    window: Annotated[
        str | None,
        typer.Option(help="2013-06-24 or 2013-06-24/2013-07-01, with every label known by now; default: the last days"),
    ] = None,
    act: Annotated[bool, typer.Option("--act", help="ask for what is due, as every morning; else it only looks")] = False,
    run_key: Annotated[str, typer.Option("--run", help="names the run's folder; default: a new one")] = "",
    as_json: JsonOption = False,
) -> None:
    """Say what is found. What is due is written to the work table only where --act asks for it."""
    from ml import monitor as stage

    if act and window:
        raise typer.BadParameter("--act is for the present: leave --window out, or look at the past without it.")
    context = open_run(problem, run_key or by_hand("monitor"), window=window, dry_run=not act)
    record = stage.run(context)
    page = stage.report(context)
    lines = [*(f"{kind}: {verdict}" for kind, verdict in record.verdicts.items()), record.reason]
    lines += [f"due: {action.kind} {action.key}: {action.why}" for action in record.actions if action.due]
    show(record.model_dump(mode="json"), as_json=as_json, text="\n".join([*lines, f"dossier: {page}"]))
