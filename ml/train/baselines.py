"""Scores of the simple models on the run's test rows, kept for the evaluation."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ml import baselines, reference, snapshot
from ml.baselines import Arrays, Floats
from ml.context import Context
from ml.snapshot import BASELINES, PARTS
from ml.tables import DAY

LAST = "last"


def write(context: Context, sizes: dict[str, int]) -> None:
    """Fit what the problem names on the frozen rows and write one array of test scores per name.

    Beside it `reference.<name>` for the frozen reference rows. Not of `last`, which looks back from the test days.
    """
    about = context.problem
    arrays = {part: snapshot.arrays_of(context, part) for part in PARTS}
    names, task = about.success.baselines, about.problem.task
    scores: dict[str, Floats] = {}
    if LAST in names:
        rows = pa.concat_tables([snapshot.rows_of(context, part) for part in PARTS])
        train, validation, test = look_back(arrays, rows, about.success.entity).values()
        scores |= baselines.fit_and_score((LAST,), train, validation, test, sizes=sizes, task=task)
    train, validation, test = arrays.values()
    judged, num_test = _with_reference(context, test), len(test["label"])
    others = [name for name in names if name != LAST]
    for name, found in baselines.fit_and_score(others, train, validation, judged, sizes=sizes, task=task).items():
        scores |= {name: found[:num_test], f"{reference.PART}.{name}": found[num_test:]}
    with context.store.replacing(context.name(BASELINES)) as path, path.open("wb") as file:
        np.savez(file, allow_pickle=False, **scores)


def _with_reference(context: Context, test: Arrays) -> Arrays:
    """The test part with the reference rows behind it, as many as there are.

    Encoded in this process, which imports TensorFlow: so this comes after everything that is done in a process apart.
    """
    found = reference.rows_of(context)
    if found is None:
        return test
    encoded = snapshot.encode({reference.PART: found[1]}, snapshot.encoding_of(context), context.problem)[reference.PART]
    return {name: np.concatenate([array, encoded[name]]) for name, array in test.items()}


def look_back(arrays: dict[str, Arrays], rows: pa.Table, entity: tuple[str, ...]) -> dict[str, Arrays]:
    """The arrays of every part with `entity` and `day`, small integers of shape (n,); a missing name is an entity too.

    Args:
        rows: of all parts, in the order of the arrays.
    """
    texts = [rows[name].cast(pa.string()).fill_null("") for name in entity]
    names = pc.binary_join_element_wise(*texts, "\x1f").to_numpy()
    _, entities = np.unique(names.astype(str), return_inverse=True)
    _, days = np.unique(rows[DAY].to_numpy().astype(str), return_inverse=True)
    ends = np.cumsum([len(part["label"]) for part in arrays.values()])[:-1]
    added = zip(arrays.items(), np.split(entities, ends), np.split(days, ends), strict=True)
    return {name: part | {"entity": ours, "day": day} for (name, part), ours, day in added}
