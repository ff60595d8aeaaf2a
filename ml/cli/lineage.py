"""What a batch of data went into, where a version or an answer comes from, and taking a bad batch back."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ml.cli.options import JsonOption, ProblemOption, a_file, actor, by_hand, plain, reason, show
from ml.context import Context, open_run
from ml.errors import ConfigError, RefusedError
from ml.window import Window, spans

if TYPE_CHECKING:
    from ml.lineage import Blast, Plan

WHEN = "2013-01-31 or 2013-01-01/2013-02-01"


def register(app: typer.Typer) -> None:
    """Add `lineage`."""
    group = typer.Typer(help="From data to models and answers, and back.", no_args_is_help=True)
    group.command("batch", help="Every model, move and served prediction that a batch touched; and its undoing.")(batch)
    group.command("version", help="From a version back to its run, data versions, rows and code.")(version)
    group.command("prediction", help="From a request back to the version, run and data behind its answer.")(prediction)
    app.add_typer(group, name="lineage")


def version(
    number: Annotated[int, typer.Argument(help="version in the registry")], problem: ProblemOption, as_json: JsonOption = False
) -> None:
    """Print where a version comes from."""
    from ml import lineage
    from ml.lineage import words

    found = lineage.of_version(open_run(problem, "show"), number)
    show(plain(found), as_json=as_json, text="\n".join(words.of_upstream(found)))


def prediction(
    request_id: Annotated[str, typer.Argument(help="as the service named it in its answer")],
    problem: ProblemOption,
    as_json: JsonOption = False,
) -> None:
    """Print where an answer comes from."""
    from ml import lineage
    from ml.lineage import words

    found = lineage.of_prediction(open_run(problem, "show"), request_id)
    show(plain(found), as_json=as_json, text="\n".join(words.of_prediction(found)))


def batch(
    days: Annotated[str, typer.Argument(help=WHEN)],
    problem: ProblemOption,
    raw_version: Annotated[int | None, typer.Option("--version", help="only what used the days as raw@N held them")] = None,
    out: Annotated[Path | None, typer.Option(help="served predictions as CSV, or rescored as Parquet")] = None,
    undo: Annotated[bool, typer.Option("--undo", help="back to a clean champion, exclude the days, ask for a retrain")] = False,
    exclude: Annotated[bool, typer.Option("--exclude", help="take the days out, ask for a retrain; the champion stays")] = False,
    include: Annotated[bool, typer.Option("--include", help="take the days back in")] = False,
    rescore: Annotated[
        bool, typer.Option("--rescore", help="score the touched predictions anew with a clean champion, into --out")
    ] = False,
    why: Annotated[str, typer.Option(help="the reason, kept in the ledger")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only say what --undo or --exclude would do")] = False,
    as_json: JsonOption = False,
) -> None:
    """Print what a batch touched, and do about it what is asked."""
    from ml import lineage

    asked = _one_of(undo=undo, exclude=exclude, include=include, rescore=rescore)
    if asked in ("undo", "exclude", "include") and not dry_run:
        why = reason(why, f"--{asked} changes what is learned from now on.")
    if out:
        a_file(out)
    if asked == "include" and dry_run:
        raise ConfigError("--dry-run goes with --undo and --exclude; nothing was done.")
    context, window = open_run(problem, by_hand("lineage")), Window.parse(days)
    if asked == "include":
        return _include(context, window, why, as_json)
    blast = lineage.blast_radius(context, window, raw_version=raw_version)
    if asked == "rescore":
        return _rescore(context, blast, out, as_json)
    if asked:
        made = lineage.plan(context, blast, stay=asked == "exclude")
        return _undo(context, made, why, dry_run=dry_run, as_json=as_json)
    return _tell(context, blast, out, as_json)


def _one_of(**asked: bool) -> str:
    """What was asked for, empty when nothing but an answer.

    Raises: ConfigError: more than one thing.
    """
    names = [name for name, wanted in asked.items() if wanted]
    if len(names) > 1:
        raise ConfigError(f"Ask for one of --{', --'.join(names)} at a time.")
    return names[0] if names else ""


def _tell(context: Context, blast: "Blast", out: Path | None, as_json: bool) -> None:
    from ml import lineage
    from ml.lineage import words

    lines = words.of_blast(blast)
    if out is not None:
        lines.append(f"{lineage.write_served(context, blast, out):,} predictions are listed in {out}")
    elif blast.num_served:
        lines.append("Each of them: --out FILE.csv; what a clean champion would have said: --rescore --out FILE.parquet")
    show(plain(blast), as_json=as_json, text="\n".join(lines))


def _undo(context: Context, made: "Plan", why: str, *, dry_run: bool, as_json: bool) -> None:
    """Say what will be done, then do it: the days first, so that nothing learns from them meanwhile."""
    from ml import deploy, lineage, promote
    from ml.lineage import words

    typer.echo("\n".join([*words.of_blast(made.blast), "To do:", *(f"  {step}" for step in made.steps)]), err=True)
    content = {"blast": plain(made.blast), "steps": made.steps, "done": not dry_run}
    if dry_run:
        return show(content, as_json=as_json, text="Dry run: nothing was done.")
    lineage.exclude(context, made, actor=actor(), why=why)
    if made.target is not None:
        promote.rollback(context, to=made.target.version, actor=actor(), comment=f"batch {made.blast.window}: {why}")
        deploy.run(context)
    text = "Done. The retrain starts with the next monitoring, or is the next night."
    if made.blast.num_served:
        text += " What a clean champion would have answered: --rescore --out FILE.parquet"
    return show(content, as_json=as_json, text=text)


def _include(context: Context, window: Window, why: str, as_json: bool) -> None:
    from ml import lineage

    back = lineage.include(context, window, actor=actor(), why=why)
    if not back:
        raise RefusedError(f"No day of {window} is excluded, so nothing was changed.")
    text = f"{spans(back)} is included again, from the next snapshot on"
    show({"included": [str(day) for day in back]}, as_json=as_json, text=text)


def _rescore(context: Context, blast: "Blast", out: Path | None, as_json: bool) -> None:
    from ml import lineage

    if out is None or out.suffix != ".parquet":
        raise ConfigError("--rescore writes a Parquet file: say --out FILE.parquet.")
    done = lineage.rescore(context, blast, lineage.clean(context, blast), out)
    text = f"{done.num_rows:,} predictions scored anew by version {done.version}: {done.num_flipped:,} decisions flip; {out}"
    if done.num_not:
        text += f"; {done.num_not:,} rows it cannot take"
    show(asdict(done) | {"file": str(out)}, as_json=as_json, text=text)
