"""Expectation suites: check one, or draft the first one from history."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

import pyarrow as pa
import typer

from ml.cli.options import JsonOption, ProblemOption, a_file, show
from ml.context import Context, open_run
from ml.errors import ConfigError, DataError
from ml.window import Window, local_day

DRAFT_DAYS = 31
HISTORY: tuple[Literal["valid", "raw"], ...] = ("valid", "raw")


def register(app: typer.Typer) -> None:
    """Add `expectations`."""
    group = typer.Typer(help="Expectation suites.", no_args_is_help=True)
    group.command("check", help="Load a problem's suite strictly.")(check)
    group.command("draft", help="Propose a suite from history, each rule with what was seen. A person reviews it.")(draft)
    app.add_typer(group, name="expectations")


def check(problem: ProblemOption, as_json: JsonOption = False) -> None:
    """Fail with the rule at fault, or count the rules."""
    from ml.validate import stage, suite

    path: Path = stage.suite_path(open_run(problem, "show"))
    rules = len(suite.load(path).expectations)
    show({"suite": str(path), "rules": rules}, as_json=as_json, text=f"{path.name}: {rules} rules, all understood")


def draft(
    problem: ProblemOption,
    window: Annotated[str | None, typer.Option(help=f"days to learn from; default: the last {DRAFT_DAYS} there are")] = None,
    out: Annotated[Path | None, typer.Option(help="file to write; it must not exist; default: print")] = None,
    as_json: JsonOption = False,
) -> None:
    """Look at the rows that passed validation, else at those ingested, else at the source itself."""
    from ml import draft as drafts

    context = open_run(problem, "draft")
    if out and a_file(out).exists():
        raise ConfigError(f"{out} exists already, and people may have worked on it. Name another file and compare the two.")
    with _history(context, window) as (kinds, batches, origin):
        seen = drafts.Seen(kinds, context.problem.source.key)
        for batch in batches:
            seen.add(batch)
    if not seen.num_rows:
        raise DataError(f"{origin} has no rows to learn from. Give --window with days that have.")
    content = drafts.propose(context.problem, seen)
    text = drafts.written(content)
    _demand_loadable(text)
    if out:
        out.write_text(text)
    counts = {level: sum(rule["severity"] == level for rule in content["expectations"]) for level in ("critical", "warning")}
    told = f"{counts['critical']} critical rules and {counts['warning']} warnings from {seen.num_rows:,} rows of {origin}"
    typer.echo(f"{told}{f', written to {out}' if out else ''}. Review every why before you trust it.", err=True)
    if as_json or not out:
        show(content, as_json=as_json, text=text)


def _demand_loadable(text: str) -> None:
    """What is proposed must be understood whole."""
    import tempfile

    from ml.validate import suite

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "draft.json"
        path.write_text(text)
        suite.load(path)


@contextmanager
def _history(context: Context, window: str | None) -> Iterator[tuple[dict[str, str], Iterator[pa.RecordBatch], str]]:
    """Columns with their kinds, rows with their day, and where they come from."""
    from ml import privacy, source

    kinds = {name: str(kind) for name, kind in source.columns(context.problem).items()}
    for name in HISTORY:
        table = context.table(name)
        if days := table.days():
            span = (
                Window.parse(window)
                if window
                else Window(max(days[0], days[-1] - timedelta(DRAFT_DAYS - 1)), days[-1] + timedelta(1))
            )
            held = {column: kind for column, kind in kinds.items() if column in table.schema()}
            yield held, table.batches(span), f"table {name}, {span}"
            return
    today = local_day(context.settings.now(), context.problem.source.timezone)
    span = Window.parse(window) if window else Window(today - timedelta(DRAFT_DAYS), today)
    with source.read(context.settings.source_url, context.problem, span, now=context.settings.now()) as rows:
        hide = privacy.redactor(context.problem, context.store).redact  # as ingest will, or forms of hidden values would be wrong
        yield kinds, map(hide, rows.batches), f"{context.problem.source.place}, {span}"
