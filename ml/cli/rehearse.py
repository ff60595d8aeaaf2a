"""The rehearsal of a run's candidate, by hand."""

from typing import Annotated

import typer

from ml.cli.options import JsonOption, ProblemOption, show, table
from ml.context import Context, open_run
from ml.errors import ConfigError
from ml.records import Load, Loaded, Rehearsed, Trained


def register(app: typer.Typer) -> None:
    """Add `rehearse`."""
    app.command("rehearse", help="Candidate and champion on what was asked lately; with --load, each in a service under load.")(
        rehearse
    )


def rehearse(
    problem: ProblemOption,
    run_key: Annotated[
        str, typer.Option("--run", help="the run whose candidate it is; default: the newest that was judged")
    ] = "",
    load: Annotated[
        bool, typer.Option("--load", help="the load test: more and more connections to a service for each, about a minute")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Print what would change for callers and what it takes; nothing that decides is changed by it."""
    context = _judged(problem) if not run_key else open_run(problem, run_key)
    if not context.has(Trained):
        raise ConfigError(f"Run {context.run_key} has trained no candidate. Name another with --run.")
    if load:
        from ml.rehearse import load as stage

        found = stage.run(context)
        show(found.model_dump(mode="json"), as_json=as_json, text=_loaded(context, found))
        return
    from ml import card
    from ml import rehearse as rehearsal

    record: Rehearsed = rehearsal.run(context)
    text = f"run {context.run_key}\n\n{card.rehearsal.section(context.problem, record)}".replace(card.GAP, "").replace(
        card.SPACE, ""
    )
    show(record.model_dump(mode="json"), as_json=as_json, text=text)


def _judged(problem: str) -> Context:
    """The run of the newest verdict."""
    context = open_run(problem, "rehearse")
    keys = [entry.run_key for entry in context.ledger.entries(context.problem.name) if entry.kind == "verdict" and entry.run_key]
    if not keys:
        raise ConfigError(f"No run of {context.problem.name} was judged yet. Name one that has trained a candidate with --run.")
    return context.of_run(keys[-1])


def _loaded(context: Context, found: Loaded) -> str:
    """One table per model."""
    told = [f"run {context.run_key}", _told("candidate", found.candidate, found.batch_rows)]
    if found.champion:
        told.append(_told(f"champion {found.champion_version}", found.champion, found.batch_rows))
    return "\n\n".join(told)


def _told(name: str, load: Load, batch_rows: int) -> str:
    steps = [(f"{step.connections}", step) for step in load.steps] + [
        (f"{load.batch.connections}, {batch_rows} rows", load.batch)
    ]
    lines = [
        {
            "connections": label,
            "a second": f"{step.per_second:,.0f}",
            "p50 ms": f"{step.p50_ms:.2f}",
            "p99 ms": f"{step.p99_ms:.2f}",
            "busy": step.busy,
            "failed": step.failed,
        }
        for label, step in steps
    ]
    head = f"{name}: first answer after {load.start_s:.1f} s, {load.memory_mb:.0f} MB, knee at {load.knee} connections"
    return f"{head}\n{table(lines, list(lines[0]))}"
