"""Labels as rows hold them, and as numbers that a network learns and a metric compares."""

import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ml.errors import DataError
from ml.problem import Problem

Floats = npt.NDArray[np.float64]
EXPECTED = {
    "binary": "true or false",
    "multiclass": "one of the classes",
    "multilabel": "the list of the labels that hold, or an object with true or false for each",
    "regression": "a finite number",
    "vector_regression": "an object with a finite number for each of the outputs",
}


def known(rows: pa.Table, problem: Problem) -> pa.ChunkedArray:
    """Which rows have every label, boolean, shape (n,)."""
    return functools.reduce(pc.and_, (pc.is_valid(rows[name]) for name in problem.source.labels))


def column(rows: pa.Table, problem: Problem) -> pa.ChunkedArray:
    """The label of every row as one column: of the label's own type, a struct of the columns where there are several."""
    if not problem.task.several:
        return rows[problem.source.labels[0]]
    return pc.make_struct(*(rows[name] for name in problem.source.labels), field_names=list(problem.source.labels))


def targets(labels: pa.ChunkedArray, problem: Problem) -> Floats:
    """Labels as numbers, in the order of `problem.outputs`.

    Args:
        labels: from `column`, without missing ones.
    Returns: shape (n,) for binary and regression, else (n, k); a class is one-hot.
    Raises: DataError: a class that the problem file does not name, or a number that is not finite.
    """
    if problem.problem.task == "multiclass":
        return _one_hot(labels, problem)
    names = problem.source.labels
    if not problem.task.several:
        return _numbers(labels, names[0])
    return np.stack([_numbers(pc.struct_field(labels, [name]), name) for name in names], axis=1)


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
    """Labels as numbers, in the order of `problem.outputs`; see `targets`."""
    return targets(pa.chunked_array([pa.array(values)]), problem)


def _numbers(labels: pa.ChunkedArray, name: str) -> Floats:
    plain = labels.cast(pa.int8()) if pa.types.is_boolean(labels.type) else labels
    found = np.asarray(plain.cast(pa.float64()).to_numpy(), np.float64)
    if strange := int((~np.isfinite(found)).sum()):
        raise DataError(
            f"{strange} labels of {name!r} are NaN or infinite, which nothing can learn or be judged by. Make them null at the "
            "source, or give the suite a rule that sends such rows to quarantine."
        )
    return found


def _one_hot(labels: pa.ChunkedArray, problem: Problem) -> Floats:
    places = pc.index_in(labels, pa.array(problem.outputs))
    if places.null_count:
        strange = pc.unique(labels.filter(places.is_null())).to_pylist()[:3]
        raise DataError(
            f"{places.null_count} labels are none of the classes {list(problem.outputs)}, such as {strange}. Name them under "
            "[problem] classes, or mend the source."
        )
    return np.asarray(np.eye(len(problem.outputs))[places.to_numpy()])


def refuse_poor(labels: pa.ChunkedArray, problem: Problem, part: str) -> None:
    """What teaches must know every answer both ways, what judges at least one of them.

    Raises: DataError: an output, or all of them, is the same in every row of the part.
    """
    found = targets(labels, problem).reshape(len(labels), -1)
    same = [name for name, low, high in zip(problem.outputs, found.min(axis=0), found.max(axis=0), strict=True) if low == high]
    if not same or (part != "train" and len(same) < len(problem.outputs)):
        return
    classes = problem.problem.task == "multiclass"
    told = f"no row, or every row, is {same[0]!r}" if classes else f"every {same[0]!r} is {labels[0].as_py()}"
    raise DataError(
        f"In the {part} part {told}; a model cannot learn or be judged. Look at the source's label column, or lengthen that part."
    )


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
