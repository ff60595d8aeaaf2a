"""What a run froze: its rows in parts, their encoding, the model trained on them. Written by one stage, read by later ones."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from ml.context import Context
from ml.features import Encoding

PARTS = ("train", "validation", "test")
ROWS, ENCODING, ENCODED = "rows.parquet", "encoding.json", "encoded.npz"  # by prepare
MODEL, BASELINE, HISTORY, PROGRESS = "model", "baseline.npy", "history.json", "progress.json"  # by train
SCORES, PLOTS = "scores.parquet", "plots"  # by evaluate


def rows_of(context: Context, part: str) -> pa.Table:
    """One part of the run's frozen rows: the feature columns, `_key`, `_day`, `_label`, `_part`."""
    return pq.read_table(context.file(ROWS), filters=[("_part", "=", part)])


def encoding_of(context: Context) -> Encoding:
    """What the run's encoder learned."""
    return Encoding.model_validate(context.store.read_json(context.name(ENCODING)))


def arrays_of(context: Context, part: str) -> dict[str, npt.NDArray[Any]]:
    """One part encoded: `categories`, `numbers`, `tokens` and `label`, rows in the order of `rows_of`."""
    with np.load(context.file(ENCODED)) as arrays:
        return {name.split(".")[1]: arrays[name] for name in arrays.files if name.startswith(f"{part}.")}
