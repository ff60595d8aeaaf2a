"""Reading problem files, with errors that name the key and the nearest valid one."""

import difflib
import tomllib
import typing
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from ml.errors import ConfigError
from ml.problem.problem import Problem


def names(folder: Path) -> list[str]:
    """Names of the problem files in a folder, sorted."""
    return sorted(path.stem for path in folder.glob("*.toml"))


def load(problem: str, folder: Path) -> Problem:
    """Read a problem by name from `folder`, or by path when it ends in `.toml`.

    Raises: ConfigError: no such problem, no TOML, or a key or value that does not fit, each named.
    """
    path = Path(problem) if problem.endswith(".toml") else folder / f"{problem}.toml"
    if not path.is_file():
        known = names(path.parent)
        near = difflib.get_close_matches(path.stem, known, n=1)
        raise ConfigError(
            f"Unknown problem {problem!r}: there is no {path}. "
            + (f"Did you mean {near[0]!r}? " if near else "")
            + f"Known: {', '.join(known) or 'none'}."
        )
    try:
        content = tomllib.loads(path.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from error
    try:
        loaded = Problem.model_validate(content)
    except ValidationError as error:
        raise ConfigError(f"{path}: " + "; ".join(_explain(detail) for detail in error.errors())) from error
    if loaded.name != path.stem:
        raise ConfigError(
            f"{path} says [problem] name = {loaded.name!r}. The file must be called {loaded.name}.toml, "
            "because DAGs, tables and the model carry that name."
        )
    return loaded


def _explain(detail: ErrorDetails) -> str:
    *parents, key = [str(part) for part in detail["loc"]] or [""]
    where = ".".join([*parents, key])
    if detail["type"] == "extra_forbidden":
        valid = _fields(parents)
        near = difflib.get_close_matches(key, valid, n=1)
        return f"unknown key {where!r}. " + (f"Did you mean {near[0]!r}? " if near else "") + f"Valid there: {', '.join(valid)}"
    if detail["type"] == "missing":
        return f"missing key {where!r}"
    if detail["type"] == "value_error":
        return detail["msg"].removeprefix("Value error, ")
    return f"{where} = {detail['input']!r}: {detail['msg']}"


def _fields(parents: list[str]) -> list[str]:
    model: Any = Problem
    for parent in parents:
        if isinstance(model, type) and issubclass(model, BaseModel) and parent in model.model_fields:
            annotation = model.model_fields[parent].annotation
            model = typing.get_args(annotation)[1] if typing.get_origin(annotation) is dict else annotation
    return sorted(model.model_fields) if isinstance(model, type) and issubclass(model, BaseModel) else []
