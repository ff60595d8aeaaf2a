"""What is in the tables, and real histories to try the system on."""

from typing import Annotated

import typer

from ml.cli import report, versions
from ml.cli.options import JsonOption, show


def register(app: typer.Typer) -> None:
    """Add `data`."""
    data = typer.Typer(help="Production samples and the Delta tables.", no_args_is_help=True)
    data.command("flights", help="Load the 336,776 flights of 2013 into a production database.")(flights)
    data.command("complaints", help="Load the CFPB's complaints into a production database.")(complaints)
    versions.register(data)
    report.register(data)
    app.add_typer(data, name="data")


IntoOption = Annotated[str, typer.Option("--into", envvar="EVERGREEN_SOURCE_URL", help="database, as owner of the table")]


def flights(into: IntoOption, as_json: JsonOption = False) -> None:
    """Load the flights history; the demo then plays it day by day."""
    _load("flights", into, None, as_json)


def complaints(
    source: Annotated[str, typer.Option("--from", help="folder of extracts, or the public CSV: a file or an address")],
    into: IntoOption,
    as_json: JsonOption = False,
) -> None:
    """Load the complaints history."""
    _load("complaints", into, source, as_json)


def _load(name: str, into: str, source: str | None, as_json: bool) -> None:
    from ml import samples

    num_rows = samples.load(name, into, source)
    show({"problem": name, "rows": num_rows}, as_json=as_json, text=f"{num_rows:,} rows of {name} are loaded")
