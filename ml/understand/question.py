"""Every kind of label as one question with yes or no, so that one page and one set of checks serve all tasks."""

import functools

import pyarrow as pa
import pyarrow.compute as pc

from ml.problem import Problem


def middle(labels: pa.Table, problem: Problem) -> float | None:
    """The median of the first label of a regression, from which on the answer is yes; None for tasks that need none.

    Args:
        labels: the label columns of the rows that the page is about.
    """
    if problem.task.label != "number":
        return None
    found = pc.approximate_median(labels[problem.source.labels[0]]).as_py()
    return 0.0 if found is None else float(found)


def answer(rows: pa.Table, problem: Problem, middle: float | None) -> pa.ChunkedArray:
    """Yes or no per row, null where the label is not known: boolean, shape (n,).

    The label itself; of classes, whether it is the last one; of several labels, whether any holds; of numbers, whether the
    first one is above the middle.
    """
    labels = [rows[name] for name in problem.source.labels]
    if problem.task.label == "number":
        return pc.greater(labels[0], middle)
    if problem.task.label == "category":
        return pc.equal(labels[0], problem.outputs[-1])
    return functools.reduce(pc.or_, (label.cast(pa.bool_()) for label in labels))


def worded(problem: Problem, middle: float | None) -> Problem:
    """The problem with `positive` saying what a yes means."""
    names = problem.source.labels
    if problem.problem.task == "binary":
        return problem
    if problem.task.label == "number":
        told = f"with {names[0]} above {middle:g}"
    elif problem.task.label == "category":
        told = problem.outputs[-1]
    else:
        told = f"with any of {', '.join(names)}"
    return problem.model_copy(update={"problem": problem.problem.model_copy(update={"positive": told})})
