"""Two extracts of the Bureau's database put together: all labelled complaints, and fewer in full with narratives.

`cfpb_disputes_2011_2017` has every complaint but only seven columns and no id; `cfpb_narratives_2015_2016` has all
columns. A full row most likely stands in the first file too, so it takes the place of one row with the same seven
values; with no such row left it is added.
"""

import logging
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ml.errors import ConfigError, DataError
from ml.samples.bureau import ORDER

log = logging.getLogger(__name__)
DISPUTES = "cfpb_disputes_2011_2017.parquet"
NARRATIVES = "cfpb_narratives_2015_2016.parquet"
OURS = {
    "company_response_to_consumer": "company_response",
    "consumer_consent_provided": "consumer_consent",
    "consumer_disputed": "disputed",
    "consumer_complaint_narrative": "narrative",
}
SHARED = (
    "date_received",
    "date_sent_to_company",
    "issue",
    "company_response",
    "consumer_consent",
    "submitted_via",
    "disputed",
)
TYPES = {"date_received": pa.date32(), "date_sent_to_company": pa.date32(), "disputed": pa.bool_(), "timely_response": pa.bool_()}


def read(folder: Path) -> pa.Table:
    """All complaints of both files, columns as in `bureau.ORDER`.

    Raises: ConfigError: a file is missing. DataError: a file lacks a column or cannot be read.
    """
    disputes = _table(folder / DISPUTES, SHARED)
    narratives = _table(folder / NARRATIVES, ORDER)
    replaced, matched = match(disputes, narratives)
    log.info("%d complaints in full: %d put in place of a short row, %d added", len(matched), matched.sum(), (~matched).sum())
    kept = np.ones(disputes.num_rows, dtype=bool)
    kept[replaced] = False
    return pa.concat_tables([narratives, disputes.filter(pa.array(kept))])


def match(short: pa.Table, full: pa.Table) -> tuple[np.ndarray, np.ndarray]:
    """Pair each full row with one short row of equal `SHARED` values, each short row at most once.

    Returns: positions of the short rows that found a partner, and for every full row whether it did.
    """
    codes = _codes(pa.concat_tables([short.select(SHARED), full.select(SHARED)]))
    _, group = np.unique(codes, return_inverse=True)
    ours, theirs = group[: short.num_rows], group[short.num_rows :]
    available = np.bincount(ours, minlength=group.max() + 1)
    wanted = np.bincount(theirs, minlength=group.max() + 1)
    return np.flatnonzero(_rank(ours) < wanted[ours]), _rank(theirs) < available[theirs]


def _codes(rows: pa.Table) -> np.ndarray:
    """One integer per row; equal rows have equal ones, null equals null."""
    total = np.zeros(rows.num_rows, dtype=np.int64)
    for column in rows.columns:
        encoded = column.combine_chunks().dictionary_encode(null_encoding="encode")
        size = len(encoded.dictionary)
        if total.max(initial=0) > (1 << 62) // max(size, 1):  # make room: number the combinations seen so far
            _, total = np.unique(total, return_inverse=True)
        total = total * size + encoded.indices.to_numpy()
    return total


def _rank(group: np.ndarray) -> np.ndarray:
    """0, 1, 2, ... within each group, in the order of the rows."""
    order = np.argsort(group, kind="stable")
    sorted_ = group[order]
    first = np.searchsorted(sorted_, sorted_, side="left")
    rank = np.empty(len(group), dtype=np.int64)
    rank[order] = np.arange(len(group)) - first
    return rank


def _table(path: Path, columns: tuple[str, ...]) -> pa.Table:
    """A file in our names and types; columns of ours that it does not have are null."""
    if not path.is_file():
        raise ConfigError(
            f"{path} is missing. The folder must hold {DISPUTES} and {NARRATIVES}; or give a CSV instead of a folder."
        )
    try:
        raw = pq.read_table(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"{path.name} cannot be read as Parquet: {error}. Copy it again. Nothing was loaded.") from error
    raw = raw.rename_columns([OURS.get(name, name) for name in raw.column_names])
    missing = [name for name in columns if name not in raw.column_names]
    if missing:
        raise DataError(
            f"{path.name} has no column {missing[0]!r}; it has {', '.join(raw.column_names)}. Use the extract as it was made. "
            "Nothing was loaded."
        )
    return pa.table(
        {
            name: pc.cast(raw[name], TYPES.get(name, pa.string()))
            if name in columns
            else pa.nulls(raw.num_rows, TYPES.get(name, pa.string()))
            for name in ORDER
        }
    )
