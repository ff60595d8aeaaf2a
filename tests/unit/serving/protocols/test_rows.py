"""Tensors become the rows that the exported model would have seen in them."""

import math
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml import features
from ml.errors import DataError
from ml.problem import Feature
from ml.scoring import Scorer
from ml.serving.answer import MAX_ROWS, TooLargeError
from ml.serving.protocols.rows import columns_of, plain_rows, rows_of

KINDS = {
    "carrier": "category",
    "distance": "number",
    "private": "boolean",
    "departs": "datetime",
    "remark": "text",
    "home": "zip",
}
ZONE = "America/New_York"
SCORER = Scorer(Path("nowhere"), {name: Feature(type=kind) for name, kind in KINDS.items()}, ZONE)
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)


def exists(moment: datetime) -> bool:
    """Not in the hour that clocks leave out in spring."""
    there = moment.replace(tzinfo=ZoneInfo(ZONE))
    return there.astimezone(ZoneInfo("UTC")).astimezone(ZoneInfo(ZONE)).replace(tzinfo=None) == moment


MOMENTS = (
    st.datetimes(datetime.fromisoformat("1900-01-01"), datetime.fromisoformat("2037-12-31"))
    .map(lambda one: one.replace(microsecond=0))
    .filter(exists)
)
RAW = st.fixed_dictionaries(
    {
        "carrier": TEXTS,
        "distance": st.floats(width=32, allow_infinity=False),
        "private": st.sampled_from([0.0, 1.0, math.nan]),
        "departs": st.just("") | MOMENTS.map(datetime.isoformat),
        "remark": TEXTS,
        "home": TEXTS,
    }
)


@given(st.lists(RAW, min_size=1, max_size=4))
def test_the_model_sees_the_very_tensors_that_a_client_of_tensorflow_serving_sends(raw):
    tensors = {name: [row[name] for row in raw] for name in KINDS}
    rows = rows_of(tensors, SCORER)
    seen = features.inputs(SCORER.table(rows.columns), SCORER.columns, timezone=ZONE)
    assert list(seen) == list(KINDS)
    for name, values in tensors.items():
        if KINDS[name] in ("number", "boolean"):
            np.testing.assert_array_equal(seen[name], np.asarray(values, np.float32))
        else:
            assert seen[name].tolist() == values
    assert rows.keys == [None] * len(raw)


@given(st.lists(RAW, min_size=1, max_size=3))
def test_examples_go_the_way_back(raw):
    rows = rows_of(columns_of(raw, SCORER), SCORER).columns
    again = rows_of(columns_of(plain_rows(rows, SCORER), SCORER), SCORER).columns
    assert again == rows


ONE = {
    "carrier": "UA",
    "distance": 1.0,
    "private": True,
    "departs": "2013-01-31T05:15:00-05:00",
    "remark": b"snow",
    "home": "10001",
}


def asked(**changed):
    return rows_of({name: [value] for name, value in (ONE | changed).items()}, SCORER)


def test_values_arrive_as_the_kind_that_the_column_has():
    assert asked().columns == [ONE | {"remark": "snow"}]
    assert asked(distance=7, private=0.0).columns == [ONE | {"remark": "snow", "distance": 7.0, "private": False}]
    assert asked(departs="2013-07-31T05:15:00").columns[0]["departs"] == "2013-07-31T05:15:00-04:00"
    assert asked(departs="2013-07-31").columns[0]["departs"] == "2013-07-31T00:00:00-04:00"


@pytest.mark.parametrize(("key", "kept"), [("a", "a"), (b"b", "b"), (7, "7"), (None, None), ("", None)])
def test_a_key_is_text_an_integer_or_nothing(key, kept):
    assert asked(key=key).keys == [kept]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("distance", "1"),
        ("distance", True),
        ("distance", math.inf),
        ("distance", 10**400),
        pytest.param("distance", 10**5000, id="a distance of 5,001 digits"),
        ("distance", [1.0, 2.0]),
        ("private", 0.5),
        ("private", "yes"),
        ("carrier", 1),
        ("carrier", "a\0"),
        ("carrier", b"\xff"),
        ("carrier", {"a": 1}),
        ("departs", "noon"),
        ("departs", 1359627300),
        ("key", True),
        ("key", 1.5),
        pytest.param("key", 10**5000, id="a key of 5,001 digits"),
    ],
)
def test_any_other_value_is_named_with_row_and_column(name, value):
    with pytest.raises(DataError, match=rf"Row 0, column '{name}': expected .* Received: "):
        asked(**{name: value})


def test_one_row_more_than_allowed_is_too_large():
    many = {name: [value] * (MAX_ROWS + 1) for name, value in ONE.items()}
    with pytest.raises(TooLargeError, match="10,001 rows"):
        rows_of(many, SCORER)


def test_inputs_that_are_missing_unknown_uneven_or_empty_are_told():
    with pytest.raises(DataError, match="no input 'carrier'"):
        rows_of({}, SCORER)
    with pytest.raises(DataError, match="unknown input 'shoe'"):
        asked(shoe=1)
    with pytest.raises(DataError, match="carrier 1, departs 1, distance 1, home 2"):
        rows_of({name: [value] for name, value in ONE.items()} | {"home": ["1", "2"]}, SCORER)
    with pytest.raises(DataError, match="holds no row"):
        rows_of({name: [] for name in ONE}, SCORER)


def test_a_local_time_that_comes_twice_is_the_first_of_both():
    twice = datetime.fromisoformat("2013-11-03T01:30")
    first, second = (datetime.fromisoformat(asked(departs=text).columns[0]["departs"]) for text in
                     (twice.isoformat(), twice.isoformat() + "-05:00"))  # fmt: skip
    assert second - first == timedelta(hours=1)
