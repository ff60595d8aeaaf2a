"""What a given label may be: the JSON value that the table keeps, and what the rest of the system makes of it."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from ml import targets
from ml.errors import DataError
from ml.problem import Problem
from ml.targets import Floats

EXPECTED = {
    "binary": "true or false",
    "multiclass": "one of the classes",
    "multilabel": "the list of the labels that hold, or an object with true or false for each",
    "regression": "a finite number",
    "vector_regression": "an object with a finite number for each of the outputs",
}


def checked(value: Any, problem: Problem) -> Any:
    """A label as the table keeps it: true or false, a class, a number, or an object with one value per output.

    Raises: DataError: it is none for this problem.
    """
    task, names = problem.problem.task, problem.outputs
    if task == "multilabel" and isinstance(value, list) and all(isinstance(one, str) for one in value):
        value = dict.fromkeys(names, False) | dict.fromkeys(value, True)
    read = {"multiclass": _class, "multilabel": _each(_truth), "vector_regression": _each(_number), "binary": _truth}
    found = read.get(task, _number)(value, problem)
    if found is None:
        about = f" ({', '.join(names)})" if len(names) > 1 else ""
        raise DataError(f"{_short(value)} is no label of {problem.name}. Expected {EXPECTED[task]}{about}.")
    return found


def targets_of(values: Sequence[Any], problem: Problem) -> Floats:
    """Labels as numbers, in the order of `problem.outputs`; see `targets.targets`."""
    return targets.targets(pa.chunked_array([pa.array(values)]), problem)


def _truth(value: Any, problem: Problem) -> bool | None:
    return bool(value) if isinstance(value, bool) or (isinstance(value, int) and value in (0, 1)) else None


def _class(value: Any, problem: Problem) -> str | None:
    return value if isinstance(value, str) and value in problem.outputs else None


def _number(value: Any, problem: Problem) -> float | None:
    try:
        number = float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _each(read: Any) -> Any:
    def every(value: Any, problem: Problem) -> dict[str, Any] | None:
        if not isinstance(value, Mapping) or set(value) != set(problem.outputs):
            return None
        found = {name: read(value[name], problem) for name in problem.outputs}
        return None if None in found.values() else found

    return every


def _short(value: Any) -> str:
    try:
        return repr(value)[:100]
    except ValueError:  # Python does not write whole numbers of more than 4,300 digits
        return "A number with too many digits"
