"""Training a version again, to the bit."""

from typing import Annotated

import typer

from ml.cli.options import JsonOption, ProblemOption, plain, show
from ml.context import open_run


def register(app: typer.Typer) -> None:
    """Add `replay`."""
    app.command("replay", help="Train a version again from what its run recorded; status 1 when predictions differ.")(replay)


def replay(
    problem: ProblemOption,
    version: Annotated[int, typer.Option("--version", help="version in the registry")],
    as_json: JsonOption = False,
) -> None:
    """Print whether the same model comes out."""
    from ml import replay as replaying

    found = replaying.run(open_run(problem, "show"), version)
    came = (
        f"all {found.num_rows:,} predictions on its test rows are the same to the last bit"
        if found.same
        else f"{found.num_differ:,} predictions on its {found.num_rows:,} test rows differ, by {found.largest:.2g} at most"
    )
    lines = [f"Version {found.version}, run {found.run_key}, trained again on data version {found.data_version}: {came}."]
    lines += [f"  not as it was then: {name}, {then} then, {now} now" for name, (then, now) in found.changed.items()]
    if not found.same and not found.changed:
        lines.append("  nothing that is recorded has changed; the training does not repeat itself on this machine")
    show(plain(found), as_json=as_json, text="\n".join(lines))
    if not found.same:
        raise typer.Exit(1)
