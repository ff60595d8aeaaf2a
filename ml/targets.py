"""Labels as rows hold them, and as numbers that a network learns and a metric compares."""

import functools

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ml.errors import DataError
from ml.problem import Problem

Floats = npt.NDArray[np.float64]


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
