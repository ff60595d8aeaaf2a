"""Problem files: which there are, what they may say, whether one is right."""

from typing import Any

import typer

from ml import problem as problems
from ml import settings
from ml.cli.options import JsonOption, show, table


def register(app: typer.Typer) -> None:
    """Add `problems` and `problem`."""
    app.command("problems", help="The problems in EVERGREEN_PROBLEMS.")(list_problems)
    group = typer.Typer(help="One problem file.", no_args_is_help=True)
    group.command("check", help="Read a problem file strictly and say what it is about.")(check)
    group.command("describe", help="Every section and key a problem file may have.")(describe)
    app.add_typer(group, name="problem")


def list_problems(as_json: JsonOption = False) -> None:
    """List problems with their titles."""
    folder = settings.read().problems
    rows = [problems.load(name, folder).problem.model_dump() for name in problems.names(folder)]
    show(rows, as_json=as_json, text=table(rows, ["name", "task", "title", "owner"]))


def check(problem: str, as_json: JsonOption = False) -> None:
    """Fail with the key at fault, or print the whole file with its defaults filled in."""
    loaded = problems.load(problem, settings.read().problems)
    text = (
        f"{loaded.name}: {loaded.problem.title}. {len(loaded.features)} features from {loaded.source.place}. The file is right."
    )
    show(loaded.model_dump(mode="json"), as_json=as_json, text=text)


def describe(as_json: JsonOption = False) -> None:
    """Print the keys of every section with type, default and meaning."""
    rows = [row for name, field in problems.Problem.model_fields.items() for row in _rows(name, field.annotation)]
    show(rows, as_json=as_json, text=table(rows, ["key", "default", "meaning"]))


def _rows(prefix: str, annotation: Any) -> list[dict[str, Any]]:
    if not (isinstance(annotation, type) and issubclass(annotation, problems.Section)):
        if prefix == "features":
            return _rows("features.<column>", problems.Feature)
        return [{"key": f"{prefix}.<column>", "default": "", "meaning": problems.Problem.model_fields[prefix].description}]
    rows = []
    for name, field in annotation.model_fields.items():
        key = f"{prefix}.{name}"
        if isinstance(field.annotation, type) and issubclass(field.annotation, problems.Section):
            rows += _rows(key, field.annotation)
        else:
            default = "required" if field.is_required() else repr(field.default)
            rows.append({"key": key, "default": default, "meaning": field.description or ""})
    return rows
