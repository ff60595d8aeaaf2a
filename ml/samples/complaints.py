"""Consumer complaints of the US Consumer Financial Protection Bureau: was the consumer content with the answer?

Source: the Bureau's public Consumer Complaint Database (US Government work, public domain), as CSV or as extracts.
The public file says when a complaint was received and sent to the company, not when the company answered or the
consumer disputed the answer. Two delays stand in for these moments, both at their longest, so that nothing is used
earlier than it could have been known.
"""

import re
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ml.errors import ConfigError, DataError
from ml.samples import bureau, extracts
from ml.samples.replay import Sample

ANSWER_DAYS = 15  # the Bureau publishes a complaint once the company answered, and after 15 days in any case
DISPUTE_DAYS = 60  # the consumer may dispute the answer for 60 days; until then a "no" is not sure
UTC_TIME = pa.timestamp("us", tz="UTC")


def read(data: Path | str | None) -> pa.Table:
    """The history, one row per complaint, sorted by `date_received`.

    Args:
        data: a folder with the extracts, a CSV (plain, .gz or .zip) with the Bureau's column names, or its address.
    Raises:
        ConfigError: no such file or folder.
        DataError: a column is missing, a date or a label cannot be read, an id is there twice.
        TransientError: the address does not answer.
    """
    if data is None:
        raise ConfigError(
            "The complaints are not part of the installation. Say where they are: DATA=folder with the extracts, "
            "or DATA=complaints.csv (a file or an address) with the Bureau's column names."
        )
    if re.match(r"https?:/", str(data)):
        raw = bureau.download(re.sub(r"^(https?):/+", r"\1://", str(data)))  # a Path folds // into /
    elif Path(data).is_dir():
        raw = extracts.read(Path(data))
    else:
        raw = bureau.read(Path(data))
    return timed(named(raw))


def named(raw: pa.Table) -> pa.Table:
    """Give every row a key: its own id, or `2015-03-19-0001` (day and place among that day's rows without id).

    Raises: DataError: two rows have the same id.
    """
    raw = raw.sort_by("date_received")  # stable: rows of a day keep the order of the file
    ids = raw["complaint_id"]
    without = np.asarray(pc.is_null(ids))
    days = raw["date_received"].to_numpy().astype("datetime64[D]")
    place = np.zeros(len(days), dtype=np.int64)
    place[without] = _place_in_run(days[without])
    made = pc.binary_join_element_wise(
        pc.cast(raw["date_received"], pa.string()), pc.utf8_lpad(pc.cast(pa.array(place + 1), pa.string()), 4, "0"), "-"
    )
    keys = pc.coalesce(ids, made)
    counts = pc.value_counts(keys)
    twice = counts.filter(pc.greater(counts.field("counts"), 1))
    if len(twice):
        raise DataError(
            f"Complaint ID {twice[0]['values'].as_py()!r} is there {twice[0]['counts'].as_py()} times; an id names one "
            "complaint. Remove the repeated rows. Nothing was loaded."
        )
    return raw.set_column(0, "complaint_id", keys)


def _place_in_run(days: np.ndarray) -> np.ndarray:
    """0, 1, 2, ... within each run of equal days."""
    starts = np.flatnonzero(np.r_[True, days[1:] != days[:-1]]) if len(days) else np.array([], dtype=np.int64)
    return np.arange(len(days)) - np.repeat(starts, np.diff(np.r_[starts, len(days)]))


def timed(raw: pa.Table) -> pa.Table:
    """Moments instead of dates (midnight UTC), and when row and label became known."""
    received = raw["date_received"].to_numpy().astype("datetime64[D]")
    sent = pc.coalesce(raw["date_sent_to_company"], raw["date_received"]).to_numpy().astype("datetime64[D]")
    answered = np.maximum(sent, received) + ANSWER_DAYS
    labelled = pc.is_valid(raw["disputed"])
    columns = {name: raw[name] for name in raw.column_names} | {
        "date_received": _moment(received),
        "date_sent_to_company": pc.cast(raw["date_sent_to_company"], UTC_TIME),
        "disputed_at": pc.if_else(labelled, _moment(answered + DISPUTE_DAYS), None),
        "available_at": _moment(answered),
    }
    return pa.table(columns).combine_chunks()


def _moment(days: np.ndarray) -> pa.Array:
    return pa.array(days.astype("datetime64[us]")).cast(UTC_TIME)


SAMPLE = Sample(
    name="complaints",
    key="complaint_id",
    event_time="date_received",
    available_at="available_at",
    label_time="disputed_at",
    outcomes=("disputed", "disputed_at"),
    first_night=date(2016, 2, 1),
    read=read,
)
