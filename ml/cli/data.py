"""What is in the tables, what was quarantined, and real histories to try the system on."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from ml.cli.options import JsonOption, ProblemOption, show, table
from ml.context import open_run
from ml.tables import DAY
from ml.window import Window


def register(app: typer.Typer) -> None:
    """Add `data`, `quarantine` and `expectations`."""
    data = typer.Typer(help="Production samples and the Delta tables.", no_args_is_help=True)
    data.command("flights", help="Load the 336,776 flights of 2013 into a production database.")(flights)
    data.command("complaints", help="Load the CFPB's complaints into a production database.")(complaints)
    data.command("show", help="Versions and rows per table of a problem.")(show_tables)
    app.add_typer(data, name="data")
    quarantine = typer.Typer(help="Rows that broke a rule.", no_args_is_help=True)
    quarantine.command("list", help="Quarantined rows with the rules they broke.")(list_quarantine)
    app.add_typer(quarantine, name="quarantine")
    expectations = typer.Typer(help="Expectation suites.", no_args_is_help=True)
    expectations.command("check", help="Load a problem's suite strictly.")(check_suite)
    app.add_typer(expectations, name="expectations")


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


def show_tables(problem: ProblemOption, as_json: JsonOption = False) -> None:
    """One line per Delta table."""
    context = open_run(problem, "show")
    rows = []
    for name in ("raw", "valid", "quarantine"):
        one = context.table(name)
        days = one.days()
        num_rows = one.read(Window(days[0], days[-1] + timedelta(days=1)), columns=[DAY]).num_rows if days else 0
        about = {"first": days[0] if days else None, "last": days[-1] if days else None, "rows": num_rows}
        rows.append({"table": name, "version": one.version if one.exists else None, **about})
    show(rows, as_json=as_json, text=table(rows, ["table", "version", "first", "last", "rows"]))


def list_quarantine(
    problem: ProblemOption,
    window: Annotated[str | None, typer.Option(help="days to look at; default: all")] = None,
    limit: Annotated[int, typer.Option(min=1, help="rows shown at most")] = 20,
    as_json: JsonOption = False,
) -> None:
    """Print quarantined rows, newest day first, and how many there are in all."""
    context = open_run(problem, "show")
    held, key = context.table("quarantine"), context.problem.source.key
    days = held.days()
    if not days:
        return show([], as_json=as_json, text="the quarantine is empty")
    span = Window.parse(window) if window else Window.parse(f"{days[0]}/9999-12-31")
    rows = held.read(span).sort_by([(DAY, "descending")])
    shown = rows.slice(0, limit).to_pylist()
    lines = [{"day": row[DAY], "key": row[key], "rules": "; ".join(row["_rules"]), "run": row["_run_key"]} for row in shown]
    text = f"{table(lines, ['day', 'key', 'rules', 'run'])}\n{rows.num_rows:,} rows in all"
    return show(shown, as_json=as_json, text=text)


def check_suite(problem: ProblemOption, as_json: JsonOption = False) -> None:
    """Fail with the rule at fault, or count the rules."""
    from ml.validate import suite
    from ml.validate.stage import suite_path

    path: Path = suite_path(open_run(problem, "show"))
    rules = len(suite.load(path).expectations)
    show({"suite": str(path), "rules": rules}, as_json=as_json, text=f"{path.name}: {rules} rules, all understood")
