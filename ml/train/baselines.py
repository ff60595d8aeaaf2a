"""Scores of the simple models on the run's test rows, kept for the evaluation."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ml import baselines, snapshot
from ml.baselines import Arrays
from ml.context import Context
from ml.snapshot import BASELINES, PARTS
from ml.tables import DAY


def write(context: Context, sizes: dict[str, int]) -> None:
    """Fit what the problem names on the frozen rows and write one array of test scores per name."""
    about = context.problem
    arrays = {part: snapshot.arrays_of(context, part) for part in PARTS}
    if "last" in about.success.baselines:
        rows = pa.concat_tables([snapshot.rows_of(context, part) for part in PARTS])
        arrays = look_back(arrays, rows, about.success.entity)
    train, validation, test = arrays.values()
    names, task = about.success.baselines, about.problem.task
    scores = baselines.fit_and_score(names, train, validation, test, sizes=sizes, task=task)
    with context.store.replacing(context.name(BASELINES)) as path, path.open("wb") as file:
        np.savez(file, allow_pickle=False, **scores)


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
