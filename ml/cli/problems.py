"""Problem files: which there are, what they may say, whether one is right."""

import json
from typing import Any, Literal, get_args, get_origin

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
    """Print the keys of every section with default, meaning, and the words to choose from where there are some."""
    rows = [row for name, field in problems.Problem.model_fields.items() for row in _rows(name, field.annotation)]
    told = [row | {"meaning": row["meaning"] + _listed(row.get("choices"))} for row in rows]
    show(rows, as_json=as_json, text=table(told, ["key", "default", "meaning"]))


def _rows(prefix: str, annotation: Any, given: Any = None, about: str = "") -> list[dict[str, Any]]:
    """The keys of a section; `given` is the one that stands where the file says nothing, `about` what its keys are about."""
    if not _is_section(annotation):
        if prefix == "features":
            return _rows("features.<column>", problems.Feature)
        return [{"key": f"{prefix}.<column>", "default": "", "meaning": problems.Problem.model_fields[prefix].description}]
    rows = []
    for name, field in annotation.model_fields.items():
        key, said = f"{prefix}.{name}", field.description or ""
        if _is_section(field.annotation):
            rows += _rows(key, field.annotation, None if field.is_required() else field.default, said)
            continue
        default = getattr(given, name) if given is not None else field.default
        absent = field.is_required() and given is None
        row = {"key": key, "default": "required" if absent else _toml(default), "meaning": f"{about}; {said}" if about else said}
        rows.append(row | {"choices": _choices(field.annotation)})
    return rows


def _is_section(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, problems.Section)


def _toml(value: Any) -> str:
    """A default as the file spells it; empty for a key that is absent unless somebody gives it."""
    if value is None:
        return ""
    if isinstance(value, problems.Section):
        return _toml(value.model_dump(exclude_defaults=True))
    if isinstance(value, dict) and value:
        return f"{{ {', '.join(f'{name} = {_toml(one)}' for name, one in value.items())} }}"
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(value) if isinstance(value, bool | str | dict) else str(value)


def _choices(annotation: Any) -> list[str]:
    """The words that a key takes, also inside a list or as names; none when it takes any value."""
    inside = get_args(annotation)
    if get_origin(annotation) is Literal:
        return [str(value) for value in inside]
    return [choice for part in inside for choice in _choices(part)]


def _listed(choices: list[str] | None) -> str:
    """The words to choose from, where there is a choice."""
    if not choices or len(choices) < 2:
        return ""
    words = ", ".join(map(json.dumps, choices))
    return f" ({words})"
