"""Whether a model has seen the rows it is judged on: by their keys, and as copies under another key."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ml.problem import Problem
from ml.snapshot import LEARNED

USUAL = 0.05  # share of rows by which copies may exceed what is usual in these data
SEPARATOR = "\x1f"


def num_seen(learned: pa.Table, rows: pa.Table, problem: Problem) -> int:
    """How many of the rows were learned from, by key, or as copies beyond the usual.

    Few columns repeat by nature: how often says the newest part that was learned from (validation), held against the older
    one (train). Copies of either among the judged rows count as far as they exceed that share by USUAL.

    Args:
        learned: with `_key`, `_label`, `_part` and the features; rows with `_key`, `_label` and the features.
    """
    part = learned["_part"].to_pylist()
    taught = learned.filter(pc.is_in(learned["_part"], pa.array(LEARNED)))
    by_key = pc.is_in(rows["_key"], taught["_key"]).to_numpy(zero_copy_only=False)
    older, newer = (learned.filter(pc.equal(learned["_part"], name)) for name in LEARNED)
    usual = _twins(older, newer, problem).mean() if newer.num_rows and "train" in part else 0.0
    copies = max(_twins(pool, rows, problem).sum() for pool in (older, newer))
    excess = copies - (usual + USUAL) * rows.num_rows
    return max(int(by_key.sum()), int(np.ceil(excess)), 0)


def _twins(among: pa.Table, rows: pa.Table, problem: Problem) -> np.ndarray:
    """Which rows stand in `among` too, with the same features and label, shape (n,)."""
    return np.asarray(pc.is_in(_content(rows, problem), _content(among, problem)).to_numpy(zero_copy_only=False))


def _content(rows: pa.Table, problem: Problem) -> pa.ChunkedArray:
    """All that a model sees of a row, as one text."""
    label = rows["_label"]
    labels = [pc.struct_field(label, [name]) for name in problem.source.labels] if problem.task.several else [label]
    columns = [column.cast(pa.string()).fill_null("") for column in (*(rows[name] for name in problem.features), *labels)]
    return pc.binary_join_element_wise(*columns, SEPARATOR)
