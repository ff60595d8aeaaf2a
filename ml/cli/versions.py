"""Versions of the Delta tables: history, differences, a version as a file, and what may go."""

from datetime import date
from pathlib import Path
from typing import Annotated, Any

import typer

from ml.cli.options import JsonOption, ProblemOption, a_file, by_hand, plain, show, table
from ml.context import Context, open_run
from ml.errors import ConfigError
from ml.past import TableName
from ml.window import Window, spans

TableOption = Annotated[str | None, typer.Option("--table", help="raw, valid or quarantine")]
WindowOption = Annotated[str | None, typer.Option("--window", help="2013-01-31 or 2013-01-01/2013-02-01; default: all days")]
VERSION = "a version such as 12 or raw@12, a run, or newest"


def register(data: typer.Typer) -> None:
    """Add `show`, `log`, `diff`, `checkout` and `vacuum` to the group `data`."""
    data.command("show", help="One line per table; with --table its columns, days and rows.")(show_tables)
    data.command("log", help="Every version of a table: who wrote it, which days, which models used it.")(log)
    data.command("diff", help="What changed between two versions or two runs, in words and as a page.")(diff)
    data.command("checkout", help="Exactly the rows of a version, as a Parquet or CSV file.")(checkout)
    data.command("vacuum", help="Remove old versions' files; versions that a registered model used stay.")(vacuum)


def named(name: str | None) -> TableName | None:
    """A table that somebody named.

    Raises: ConfigError: there is no such table.
    """
    from ml.versions import TABLES

    if name is not None and name not in TABLES:
        raise ConfigError(f"There is no table {name!r}. Tables: {', '.join(TABLES)}.")
    return name


def show_tables(
    problem: ProblemOption,
    name: TableOption = None,
    version: Annotated[str | None, typer.Option(help=VERSION)] = None,
    window: WindowOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print what the tables hold."""
    from ml import versions

    context, about = open_run(problem, "show"), named(name)
    if about is None and version is None:
        return _overview(context, as_json)
    ref = versions.resolve(context, version or "newest", about)
    held = versions.contents(context, ref, window=Window.parse(window) if window else None)
    days, columns = [date.fromisoformat(day) for day in held.num_rows_by_day], held.profile.columns
    rows = [
        {
            "column": column,
            "type": kind,
            "missing": f"{columns[column].null_share:.1%}" if column in columns else "",
            "values": versions.in_short(columns[column]) if column in columns else "",
        }
        for column, kind in held.types.items()
    ]
    head = f"{ref}: {sum(held.num_rows_by_day.values()):,} rows on {len(days)} days, {spans(days) or 'none'}"
    content = {"table": ref.table, "version": ref.version, "rows": held.num_rows_by_day, "types": held.types}
    content |= {"profile": held.profile.model_dump(mode="json")}
    return show(content, as_json=as_json, text=f"{head}\n{table(rows, ['column', 'type', 'missing', 'values'])}")


def log(
    problem: ProblemOption,
    name: TableOption = None,
    limit: Annotated[int, typer.Option(min=1, help="versions shown at most, the newest")] = 20,
    as_json: JsonOption = False,
) -> None:
    """Print the history of a table, newest first."""
    from ml import versions

    lines = versions.log(open_run(problem, "show"), named(name) or "raw", limit=limit)
    told = [
        {
            "version": line.version,
            "when": f"{line.at:%Y-%m-%d %H:%M}",
            "by": " ".join(filter(None, (line.stage, line.run_key))),
            "days": spans(line.days),
            "rows": line.words,
            "used by": ", ".join(f"version {model}" for model in line.models),
        }
        for line in lines
    ]
    show(plain(lines), as_json=as_json, text=table(told, ["version", "when", "by", "days", "rows", "used by"]))


def diff(
    problem: ProblemOption,
    before: Annotated[str, typer.Argument(help=VERSION)],
    after: Annotated[str, typer.Argument(help=f"{VERSION} (the default)")] = "newest",
    name: TableOption = None,
    window: WindowOption = None,
    html: Annotated[Path | None, typer.Option(help="also write a page with pictures to this file")] = None,
    as_json: JsonOption = False,
) -> None:
    """Print what changed from one version to another."""
    from ml import versions

    if html:
        a_file(html)
    context, about = open_run(problem, "show"), named(name)
    first = versions.resolve(context, before, about or _table_in(after))
    second = versions.resolve(context, after, first.table)
    found = versions.compare(context, first, second, window=Window.parse(window) if window else None)
    lines = versions.sentences(found)
    if html is not None:
        title = f"{context.problem.problem.title}: what changed in {first.table}"
        html.write_text(versions.page(found, title))
        lines.append(f"Page: {html}")
    show(plain(found) | {"same": found.same}, as_json=as_json, text="\n".join(lines))


def checkout(
    problem: ProblemOption,
    version: Annotated[str, typer.Argument(help=VERSION)],
    out: Annotated[Path, typer.Option(help="file to write, .parquet or .csv")],
    name: TableOption = None,
    window: WindowOption = None,
    force: Annotated[bool, typer.Option("--force", help="replace the file if it exists")] = False,
    as_json: JsonOption = False,
) -> None:
    """Write the rows of one version to a file."""
    from ml import versions

    context = open_run(problem, "show")
    ref = versions.resolve(context, version, named(name))
    span = Window.parse(window) if window else None
    num_rows = versions.checkout(context, ref, out, window=span, force=force)
    content = {"table": ref.table, "version": ref.version, "rows": num_rows, "file": str(out)}
    show(content, as_json=as_json, text=f"{num_rows:,} rows of {ref} are in {out}")


def vacuum(
    problem: ProblemOption,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="remove nothing, only say what would go")] = False,
    as_json: JsonOption = False,
) -> None:
    """Remove the files that only old versions need, after [retention] versions_days."""
    from ml import erase, versions

    context = open_run(problem, by_hand("vacuum"))
    purged = [] if dry_run else erase.purge(context)
    done = versions.vacuum(context, dry_run=dry_run)
    pinned = "; ".join(f"{name} {', '.join(map(str, kept))}" for name, kept in done.pinned.items())
    text = f"{done.sentence}; kept for registered models: {pinned or 'nothing'}"
    if purged:
        text += f"; {len(purged):,} old files of erased people are gone"
    show(done.model_dump(mode="json") | {"purged": purged}, as_json=as_json, text=text)


def _overview(context: Context, as_json: bool) -> None:
    """One line per table."""
    from ml import versions

    rows: list[dict[str, Any]] = []
    for name in versions.TABLES:
        one = context.table(name)
        newest = one.version if one.exists else None
        span = versions.every_day(one, newest) if newest is not None else None
        counts = one.num_rows(span, version=newest) if span else {}
        about = {"first": min(counts, default=None), "last": max(counts, default=None), "rows": sum(counts.values())}
        rows.append({"table": name, "version": newest, **about})
    show(rows, as_json=as_json, text=table(rows, ["table", "version", "first", "last", "rows"]))


def _table_in(said: str) -> TableName | None:
    """The table that a version names itself, so that `diff night-1 valid@3` is about `valid`."""
    about, at, _ = said.partition("@")
    return named(about) if at else None
