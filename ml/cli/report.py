"""The data report by hand."""

from pathlib import Path
from typing import Annotated

import typer

from ml.cli.options import JsonOption, ProblemOption, a_file, by_hand, show
from ml.context import open_run
from ml.store import writing


def register(data: typer.Typer) -> None:
    """Add `data report`."""
    data.command("report", help="One page about the data: every column, labels over time, and findings in words.")(report)


def report(
    problem: ProblemOption,
    window: Annotated[
        str | None, typer.Option(help="the days shown beside those before, 2013-01-25/2013-02-01; default: the newest")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="copy the page to this file")] = None,
    run_key: Annotated[str, typer.Option("--run", help="the run whose folder and rows it is about; default: a new one")] = "",
    as_json: JsonOption = False,
) -> None:
    """Write the page and print its findings.

    Raises: ConfigError: the page cannot be copied there.
    """
    from ml import understand

    if out:
        a_file(out)
    context = open_run(problem, run_key or by_hand("report"), window=window)
    record = understand.run(context)
    if out:
        with writing(str(out)):
            out.write_bytes(context.store.read(context.name(understand.PAGE)))
    place = out or context.store.location(context.name(understand.PAGE))
    lines = [f"{found.severity}: {found.sentence}" for found in record.findings]
    lines += [f"not assessable: {check.about}: {check.detail}" for check in record.checks if check.outcome == "not assessable"]
    if not record.num_rows:
        lines = [f"nothing to show: {record.checks[0].detail}"]  # every check says the same then
    content = record.model_dump(mode="json") | {"page": str(place)}
    show(content, as_json=as_json, text="\n".join([*(lines or ["nothing to worry about"]), f"report: {place}"]))
