"""The three encoders agree: the graph inside the exported model, the one over Arrow columns, the one over plain rows."""

import json
from datetime import UTC, datetime, timedelta, timezone
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ml import features
from ml.exports.loader import Encoder
from ml.features import columns, encoder
from ml.problem import Feature
from ml.tables import ARROW_TYPES

ALL = {
    "carrier": Feature(type="category", vocabulary=5),
    "distance": Feature(type="number"),
    "zip_code": Feature(type="zip", prefix=3),
    "sched": Feature(type="datetime"),
    "story": Feature(type="text", tokens=4, vocabulary=6),
    "fuel": Feature(type="boolean"),
    "origin": Feature(type="category"),
    "arrived": Feature(type="datetime"),
    "title": Feature(type="text", tokens=2, vocabulary=3),
    "seats": Feature(type="number"),
}
ONE_KIND = {name: {name: ALL[name]} for name in ("carrier", "distance", "zip_code", "sched", "story", "fuel")}
ZONES = ("America/New_York", "UTC", "Australia/Lord_Howe", "Asia/Kathmandu")
TOLERANCE = 1e-6  # of sines and cosines, which vector instructions round otherwise; all else agrees to the last bit
WORDS = [
    "UA",
    "ua",
    "Zürich",
    "ﬁn",
    "İ",
    "K",
    "ẞ",
    "bank",
    "Bank!",
    "a-b_c",
    "the",
    "987",
    "98001",
    "980é",
    "98é1",
    "€€€€",
    "\0",
    "",
    " ",
    "🙂",
]
TEXTS = st.lists(st.one_of(st.sampled_from(WORDS), st.text(max_size=5)), max_size=7).map(" ".join)
OFFSETS = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "category": st.one_of(st.sampled_from(WORDS), st.text(max_size=6)),
    "zip": st.one_of(st.sampled_from(WORDS), st.text(max_size=6)),
    "text": TEXTS,
    "number": st.one_of(st.floats(), st.floats(-1e6, 1e6), st.sampled_from([0.0, -0.0, 1e39, -1e300, 3e-45])),
    "boolean": st.booleans(),
    "datetime": st.datetimes(datetime(2, 1, 1), datetime(9998, 12, 30), timezones=OFFSETS),  # noqa: DTZ001 - the offset is drawn
}


def table(rows: list[dict[str, Any]], known: dict[str, Feature]) -> pa.Table:
    return pa.table({name: pa.array([row[name] for row in rows], ARROW_TYPES[known[name].type]) for name in known})


@cache
def learned(zone: str, kind: str = "") -> tuple[features.Encoding, Any]:
    """An encoding of rows like those to come, and its graph, built once."""
    known = ONE_KIND[kind] if kind else ALL
    strings = {
        "category": WORDS,
        "zip": ["98001", "98002", "980é", "10001", "é98"],
        "text": ["the bank", "Bank 987 zürich", "a b c"],
    }
    other: dict[str, list[Any]] = {
        "number": [1.5, -3.0, 1e6, None],
        "boolean": [True, False],
        "datetime": [datetime(2013, 1, 1, tzinfo=UTC)],
    }
    drawn: dict[str, list[Any]] = {**strings, **other}
    rows = [{name: drawn[f.type][n % len(drawn[f.type])] for name, f in known.items()} for n in range(100)]
    encoding = features.fit(table(rows, known), known, timezone=zone)
    return encoding, tf.function(encoder.build(encoding), reduce_retracing=True)  # traced once, not once per example


def agree(rows: list[dict[str, Any]], encoding: features.Encoding, graph: Any) -> None:
    """All three pack the rows alike."""
    whole, plan = table(rows, encoding.features), features.layout(encoding)
    raw = features.inputs(whole, encoding.features, timezone=encoding.timezone)
    expected = {name: array.numpy() for name, array in graph({name: tf.constant(column) for name, column in raw.items()}).items()}
    arrow, plain = columns.encode(whole, plan), Encoder(json.loads(json.dumps(plan)))(rows)
    for name, wanted in expected.items():
        for found in (arrow[name], plain[name]):
            assert (found.dtype, found.shape) == (wanted.dtype, wanted.shape), name
            np.testing.assert_allclose(found, wanted, rtol=0, atol=TOLERANCE if name == "numbers" else 0)
        if name == "numbers":
            scaled = [place for one in plan["numbers"] for place in (one["place"], one["place"] + 1)]
            np.testing.assert_array_equal(arrow[name][:, scaled], wanted[:, scaled])
            np.testing.assert_array_equal(arrow[name], plain[name])


@st.composite
def some_rows(draw: st.DrawFn) -> list[dict[str, Any]]:
    one = st.fixed_dictionaries({name: st.none() | VALUES[feature.type] for name, feature in ALL.items()})
    return draw(st.lists(one, min_size=1, max_size=5))


@settings(max_examples=80, deadline=None)
@given(rows=some_rows(), zone=st.sampled_from(ZONES))
@example(rows=[dict.fromkeys(ALL)], zone="UTC")
def test_any_rows_are_encoded_alike(rows, zone):
    agree(rows, *learned(zone))


@pytest.mark.parametrize("kind", ONE_KIND)
def test_a_problem_of_one_kind_of_column_is_encoded_alike(kind):
    """Arrays of no columns and flags of missing values must not get lost."""
    values = {
        "category": ["UA", "unseen"], "number": [2.5, 1e39], "zip": ["98009", "98é"], "text": ["bank of the", "!"],
        "boolean": [True, False], "datetime": [datetime(2013, 3, 10, 7, 0, tzinfo=UTC)],
    }  # fmt: skip
    (name, feature), *_ = ONE_KIND[kind].items()
    agree([{name: value} for value in (*values[feature.type], None)], *learned("America/New_York", kind))


@pytest.mark.parametrize("zone", ZONES)
def test_every_change_of_the_clock_is_seen(zone):
    """Hours around the changes of summer time of a year in the tables and of one that is beyond them, and of long ago."""
    starts = [datetime(year, 1, 1, tzinfo=UTC) for year in (1883, 1969, 2013, 2050)]
    moments = [start + timedelta(hours=6 * n + n % 7, microseconds=n % 2) for start in starts for n in range(365 * 4)]
    rows = [dict.fromkeys(ALL) | {"sched": moment} for moment in moments]
    agree(rows, *learned(zone))


def test_times_as_text_are_those_times():
    """What a request holds is ISO text."""
    encode = Encoder(features.layout(learned("America/New_York")[0]))
    moment = datetime(2013, 7, 31, 5, 15, tzinfo=timezone(timedelta(hours=2)))
    said, meant = ([dict.fromkeys(ALL) | {"sched": value}] for value in (moment.isoformat(), moment))
    for name, array in encode(said).items():
        np.testing.assert_array_equal(array, encode(meant)[name])
