"""The quick way to read a body and the careful one agree, to the value."""

import json
import math
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ml.errors import DataError
from ml.problem import Feature
from ml.scoring import Scorer
from ml.serving.rows import MAX_ROWS, Decoder, Rows, parse
from ml.settings import PROJECT

KINDS = {"cat": "category", "a number": "number", "yes": "boolean", "at": "datetime", "words": "text", "zip": "zip"}
COLUMNS = {name: Feature(type=kind) for name, kind in KINDS.items()}
SCORER = Scorer(PROJECT, COLUMNS, "UTC")
DECODER = Decoder(COLUMNS)
GOOD: dict[str, Any] = {
    "cat": "UA",
    "a number": 1.5,
    "yes": True,
    "at": "2013-01-31T05:15:00-05:00",
    "words": "late ü🙂\\",
    "zip": "10001",
}
MOMENTS = ("2013-01-31T05:15:00-05:00", "2013-01-31", "2013-01-31T05:15Z", "20130131T051500+0100", "2013-01-31T05:15:00", "soon")
VALUE = (
    st.none()
    | st.booleans()
    | st.integers(-(10**400), 10**400)
    | st.floats()
    | st.text()
    | st.sampled_from(MOMENTS)
    | st.lists(st.none(), max_size=1)
)
ROW = st.builds(
    lambda changed, gone: {name: value for name, value in (GOOD | changed).items() if name not in gone},
    st.dictionaries(st.sampled_from([*KINDS, "key", "stranger"]), VALUE, max_size=3),
    st.sets(st.sampled_from(list(KINDS)), max_size=1) | st.just(set()),
)


def carefully(body: bytes) -> Rows | None:
    """What the careful way makes of it; None when it refuses."""
    try:
        rows = parse(body)
        SCORER.table(rows.columns)
    except DataError:
        return None
    return rows


@given(rows=st.lists(ROW, max_size=3))
@example(rows=[GOOD | {"key": 10**30}, GOOD | {"key": "a\0b"}])
@example(rows=[GOOD | {"a number": 10**400}])
@example(rows=[GOOD | {"at": "2013-01-31T05:15:00"}])
@example(rows=[GOOD | {"key": 10**308 * 2}])
def test_what_the_quick_way_accepts_is_what_the_careful_one_does(rows):
    body = json.dumps({"rows": rows}).encode()
    quick, careful = DECODER.read(body), carefully(body)
    if quick is None:
        return
    assert careful is not None
    assert (quick.keys, quick.columns, quick.fit) == (careful.keys, careful.columns, COLUMNS)


@given(rows=st.lists(ROW, min_size=1, max_size=3))
@example(rows=[GOOD | {"a number": math.nan}])
@example(rows=[GOOD | {"key": "a"}])
def test_rows_that_are_objects_already_fit_only_when_the_model_takes_them(rows):
    if DECODER.fits(rows):
        SCORER.table(rows)


@given(body=st.binary())
@example(body=b'{"rows": ' + b"[" * 100_000)
@example(body=b'{"rows": [{"cat": "\\ud800"}]}')
@example(body=b'{"rows": [{"cat": "\xff"}]}')
def test_bytes_that_are_no_rows_are_left_to_the_careful_way(body):
    assert DECODER.read(body) is None


@pytest.mark.parametrize("key", [None, "a", 7], ids=str)
def test_rows_that_are_right_take_the_quick_way(key):
    nothing = dict.fromkeys(KINDS)
    quick = DECODER.read(json.dumps({"rows": [GOOD | {"key": key}, nothing, GOOD | {"a number": 3}]}).encode())
    assert quick == Rows([None if key is None else str(key), None, None], [GOOD, nothing, GOOD | {"a number": 3.0}], COLUMNS)
    assert DECODER.fits([GOOD, nothing])


def test_a_request_of_the_largest_size_takes_the_quick_way_and_one_more_row_does_not():
    assert DECODER.read(json.dumps({"rows": [GOOD] * MAX_ROWS}).encode()) is not None
    assert DECODER.read(json.dumps({"rows": [GOOD] * (MAX_ROWS + 1)}).encode()) is None
