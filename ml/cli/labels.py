"""Labels that people and programs give: who is asked about what, and what they said."""

import json
from collections import Counter
from dataclasses import asdict
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from ml.cli.options import JsonOption, ProblemOption, a_file, actor, by_hand, show, table
from ml.context import Context, open_run
from ml.errors import ConfigError, DataError


class Format(Enum):
    """How rows to label travel."""

    CSV = "csv"
    LABEL_STUDIO = "label-studio"


ByOption = Annotated[str, typer.Option("--by", help="who labelled, where the file does not say; default: you")]


def register(app: typer.Typer) -> None:
    """Add `labels`."""
    group = typer.Typer(help="Labels that people and programs give.", no_args_is_help=True)
    group.command("list", help="Labels that were given, counted by day, source and labeller; with --key all of one row.")(list_)
    group.command("join", help="Join what the service was told with the answers it is about, as the DAG `feedback` does.")(join)
    group.command("queue", help="Choose the rows most worth a label, and some by chance, as the DAG `feedback` does.")(queue)
    group.command("export", help="Write the open rows for labelling elsewhere.")(export)
    group.command("import", help="Take in a labelled file, CSV or Label Studio's JSON; the same file twice changes nothing.")(
        import_
    )
    group.command("agreement", help="How far each two labellers agree.")(agreement)
    group.command("quality", help="Share of wrong answers estimated from labelled rows, without the bias of asking hard ones.")(
        quality
    )
    app.add_typer(group, name="labels")


def list_(
    problem: ProblemOption, key: Annotated[str, typer.Option(help="labels of this row")] = "", as_json: JsonOption = False
) -> None:
    """Print labels."""
    from ml import labels

    rows = labels.read(open_run(problem, "show")).sort_by("_order").to_pylist()
    if key:
        told = [_told(row) for row in rows if row["_key"] == key]
        return show(told, as_json=as_json, text=table(told, ["at", "source", "labeller", "label", "request"]))
    counted = Counter((row["_day"], row["_source"], row["_labeller"]) for row in rows)
    lines = [
        dict(zip(("day", "source", "labeller", "labels"), (*one, count), strict=True)) for one, count in sorted(counted.items())
    ]
    text = f"{table(lines, ['day', 'source', 'labeller', 'labels'])}\n{len(rows):,} labels in all"
    return show(lines, as_json=as_json, text=text)


def join(problem: ProblemOption, as_json: JsonOption = False) -> None:
    """Take feedback in."""
    from ml import feedback

    fed = feedback.run(open_run(problem, by_hand("feedback")))
    show(fed.model_dump(mode="json"), as_json=as_json, text=fed.sentence)


def queue(problem: ProblemOption, as_json: JsonOption = False) -> None:
    """Choose rows."""
    from ml import feedback

    queued = feedback.queue(open_run(problem, by_hand("feedback")))
    show(queued.model_dump(mode="json"), as_json=as_json, text=queued.sentence)


def export(
    problem: ProblemOption,
    out: Annotated[Path, typer.Option(help="file to write")],
    kind: Annotated[Format, typer.Option("--format", help="csv, or tasks as Label Studio imports them")] = Format.CSV,
    as_json: JsonOption = False,
) -> None:
    """Write open rows; beside tasks for Label Studio their interface, as FILE.xml."""
    from ml import feedback
    from ml.feedback import formats

    a_file(out)
    context = open_run(problem, "show")
    tasks, asked = feedback.open_tasks(context), context.problem
    written = [str(out)]
    if kind is Format.CSV:
        out.write_text(formats.to_csv(tasks, asked), newline="")
    else:
        version = max((batch.version for batch in feedback.batches(context)), default=0)
        out.write_text(json.dumps(formats.to_label_studio(tasks, asked, version=version), indent=1))
        config = out.with_suffix(".xml")
        config.write_text(formats.label_studio_config(asked))
        written.append(str(config))
    show({"rows": len(tasks), "files": written}, as_json=as_json, text=f"{len(tasks)} rows written to {' and '.join(written)}")


def import_(
    problem: ProblemOption,
    file: Annotated[Path, typer.Argument(help="CSV as `export` writes it, with labels; or Label Studio's export as JSON")],
    by: ByOption = "",
    as_json: JsonOption = False,
) -> None:
    """Take labels in; nothing is written when one of them is wrong."""
    from ml import feedback

    context = open_run(problem, by_hand("labels"))
    answers = _read(context, file, by or actor())
    new = feedback.take(context, answers, by=actor())
    show({"labels": len(answers), "new": new}, as_json=as_json, text=f"{len(answers)} labels read, {new} of them new")


def agreement(problem: ProblemOption, as_json: JsonOption = False) -> None:
    """Print every pair."""
    from ml import feedback

    context = open_run(problem, "show")
    told = [asdict(one) for one in feedback.agreements(feedback.held(context), context.problem)]
    lines = [
        {
            "labellers": " and ".join(one["labellers"]),
            "rows": one["num_rows"],
            "agreed": f"{one['agreed']:.1%}",
            "kappa": "" if one["kappa"] is None else f"{one['kappa']:.2f}",
            "apart": ", ".join(one["apart"][:5]),
        }
        for one in told
    ]
    otherwise = "no two people have labelled the same row"
    show(told, as_json=as_json, text=table(lines, ["labellers", "rows", "agreed", "kappa", "apart"]) if told else otherwise)


def quality(problem: ProblemOption, as_json: JsonOption = False) -> None:
    """Print the estimate."""
    from ml import feedback

    context = open_run(problem, "show")
    labelled = {key: label for (key, _), label in feedback.held(context).items()}
    confidence = context.problem.gate.confidence
    found = feedback.estimate(feedback.batches(context), labelled, context.problem, confidence=confidence)
    if found is None:
        return show(None, as_json=as_json, text="fewer than two rows that chance chose are labelled: nothing can be said yet")
    what = "mean absolute error" if context.problem.task.label == "number" else "wrong answers"
    text = (
        f"{what}: {found.value:.4g} [{found.low:.4g}, {found.high:.4g}] over {found.num_rows:,} answers, from "
        f"{found.num_labelled} labels; the labelled rows by themselves say {found.plain:.4g}, because hard ones were asked about"
    )
    return show(asdict(found), as_json=as_json, text=text)


def _read(context: Context, file: Path, by: str) -> list[Any]:
    from ml.feedback import formats

    try:
        text = file.read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} cannot be read: {error}") from error
    if not text.lstrip().startswith(("[", "{")):
        return formats.from_csv(text, context.problem, by=by)
    try:
        return formats.from_label_studio(json.loads(text), context.problem, by=by)
    except json.JSONDecodeError as error:
        raise DataError(f"{file} is no JSON: {error}") from error


def _told(row: dict[str, Any]) -> dict[str, Any]:
    names = {"at": "_at", "source": "_source", "labeller": "_labeller", "label": "_label", "request": "_request_id"}
    return {name: row[column] for name, column in names.items()}
