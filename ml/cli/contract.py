"""What was agreed on about a problem's source, what differs from it, and saying that a difference is meant."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated

import typer

from ml.cli.options import JsonOption, ProblemOption, actor, by_hand, reason, show, table
from ml.context import Context, open_run
from ml.contract import Difference
from ml.errors import DataError
from ml.window import Window, local_day

COLUMNS = ["column", "source type", "declared", "unit", "looks like"]


def register(app: typer.Typer) -> None:
    """Add `contract`."""
    group = typer.Typer(help="What was recorded of the source: columns, types, units, looks.", no_args_is_help=True)
    group.command("show", help="Every column of the source as recorded, and what was accepted since.")(show_)
    group.command("diff", help="What stopped the last run, with the likely reasons; exit status 1 when there is something.")(diff)
    group.command("accept", help="The difference is meant: the contract takes the new state over.")(accept)
    app.add_typer(group, name="contract")


def show_(problem: ProblemOption, as_json: JsonOption = False) -> None:
    """Print the contract."""
    from ml import contracts
    from ml.contract import describe

    context = open_run(problem, "show")
    contract = contracts.load(context)
    if contract is None:
        raise DataError(f"There is no contract of {context.problem.name} yet; the first ingest records it.")
    rows = describe(contract)
    known = f"; values up to {contract.through}" if contract.through else ""
    lines = [f"{context.problem.source.place}, recorded {contract.recorded_at:%Y-%m-%d %H:%M} by {contract.run_key}{known}"]
    lines += ["", table(rows, COLUMNS), ""] if rows else []
    for entry in contract.accepted:
        lines.append(f"accepted {entry.at:%Y-%m-%d %H:%M} by {entry.who}: {entry.why}")
        lines += [f"  {one.column}: {one.hypotheses[0].sentence}" for one in entry.differences]
    show(contract.model_dump(mode="json"), as_json=as_json, text="\n".join(lines).rstrip())


def diff(
    problem: ProblemOption,
    run: Annotated[
        bool, typer.Option("--run", help="look at the source now: its columns, and its newest days; nothing is kept")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Print differences, the most likely reason first."""
    from ml import contracts
    from ml.contract import listed

    context = open_run(problem, by_hand("diff"))
    waiting = contracts.pending(context)
    found: Sequence[Difference] = _look(context) if run else waiting.differences if waiting else ()
    since = f"since run {waiting.run_key}, {waiting.at:%Y-%m-%d %H:%M}" if waiting and not run else "in the source as it is now"
    text = f"{len(found)} open, {since}:\n{listed(found, most=len(found))}" if found else "no difference"
    show([one.model_dump(mode="json") for one in found], as_json=as_json, text=text)
    if found:
        raise typer.Exit(1)


def accept(
    problem: ProblemOption,
    why: Annotated[str, typer.Option("--why", help="kept in the contract and in the ledger")],
    column: Annotated[
        list[str] | None, typer.Option("--column", help="only this column; may be given again; default: all")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Take the new state over; the next run goes on from it."""
    from ml import contracts

    why = reason(why, "Whoever meets the new state later asks why it is right.")
    context = open_run(problem, by_hand("accept"))
    taken = contracts.accept(context, who=actor(), why=why, only=column or ())
    rest = contracts.pending(context)
    lines = [f"accepted: {one.column}: {one.hypotheses[0].sentence}" for one in taken]
    lines += [f"still open: {one.column}" for one in rest.differences] if rest else ["Clear the task, or run the night again."]
    show([one.model_dump(mode="json") for one in taken], as_json=as_json, text="\n".join(lines))


def _look(context: Context) -> list[Difference]:
    """The source's columns and its newest days against the contract, without writing anything."""
    from ml import contracts, privacy, source
    from ml.contract import compare_types

    contract, problem, now = contracts.load(context), context.problem, context.settings.now()
    if contract is None:
        raise DataError(f"There is no contract of {problem.name} yet; the first ingest records it.")
    today = local_day(now, problem.source.timezone)
    newest = Window(today - timedelta(days=max(problem.source.lookback_days, 1)), today)
    redactor, profiler = privacy.redactor(problem, context.store), contracts.profiler(context)
    with source.read(context.settings.source_url, problem, newest, now=now) as rows:
        found = compare_types(contract, rows.types, ignore=problem.contract.ignore)
        if any(one.kind in ("removed", "renamed", "retyped") for one in found):
            return found  # such a table may not be readable
        for batch in rows.batches:
            profiler.add(redactor.redact(batch))
    return [*found, *contracts.differences(context, contract, profiler.result())]
