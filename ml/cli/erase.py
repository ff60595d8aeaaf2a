"""Erasure of a person, with the proof."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from ml.cli.options import JsonOption, ProblemOption, actor, by_hand, reason, show, table
from ml.context import open_run

if TYPE_CHECKING:
    from ml.erase import Erased, Touched

UNSEEN = (
    "Not looked at: the source itself, backups, files that people checked out or copied, task logs and XComs of Airflow, copies "
    "of the store on other machines (they go within a week), PostgreSQL's pages until its next vacuum, and what models learned."
)


def register(app: typer.Typer) -> None:
    """Add `erase`."""
    app.command("erase", help="Remove a person from tables, runs, request log and feedback, prove it, and keep them out.")(erase)


def erase(
    problem: ProblemOption,
    subject: Annotated[str, typer.Option(help="value of the column that names a person; - reads it from the input")],
    why: Annotated[
        str, typer.Option(help="kept in the ledger for ever: a ticket's number, not a name; only --dry-run needs none")
    ] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only look")] = False,
    now: Annotated[bool, typer.Option("--now", help="remove old files of the tables at once, not after the retention")] = False,
    as_json: JsonOption = False,
) -> None:
    """Erase, then search again and tell what was found before and after, and which models learned from the person."""
    from ml import erase as stage

    why = why if dry_run else reason(why, "An erasure cannot be taken back; --dry-run only looks.")
    who = sys.stdin.readline().rstrip("\n") if subject == "-" else subject
    done = stage.run(open_run(problem, by_hand("erase")), who, actor=actor(), why=why, dry_run=dry_run, now=now)
    show(done.model_dump(mode="json"), as_json=as_json, text="\n".join(_told(done)))


def _told(done: "Erased") -> list[str]:
    rows = [place.model_dump() | ({"after": ""} if done.dry_run else {}) for place in done.places]
    lines = [_headline(done), "", table(rows, ["name", "before", "after", "remains"])]
    if done.mlflow:
        lines += ["", f"Replaced in MLflow: {', '.join(done.mlflow)}"]
    if done.runs:
        lines += ["", "Runs whose frozen rows held them:"]
        lines += [f"  {_run(run)}" for run in done.runs]
        lines += [f"A model without them: python -m ml run --problem {done.problem}, then promote its version."]
    if not done.in_texts:
        lines += ["", f"As a word this {done.column} could be anything, so texts and pages were not searched for it."]
    return [*lines, "", UNSEEN]


def _headline(done: "Erased") -> str:
    if done.dry_run:
        return f"Found {done.found} times; nothing was changed."
    if not done.found:
        return f"Found nowhere: erased on {done.erased_before:%Y-%m-%d}, and kept out since."
    waits = f"; {done.num_old_files} old files go after {done.due:%Y-%m-%d}" if done.due else ""
    return f"Found {done.found} times, erased{waits}. {done.problem} keeps them out from now on ({done.token})."


def _run(run: "Touched") -> str:
    versions = f"version {', '.join(map(str, run.versions))}" if run.versions else "no version"
    rows = ", ".join(f"{count} in {part}" for part, count in run.rows.items())
    return f"{run.run_key}: {versions}{', THE CHAMPION' if run.champion else ''}; {rows}"
