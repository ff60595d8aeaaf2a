"""Whatever bytes arrive, they are rows or a reason."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.errors import ConfigError, DataError
from ml.serving.__main__ import address
from ml.serving.answer import MAX_ROWS, TooLargeError, parse

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["rows", "key", "a"]), inner, max_size=3),
    max_leaves=12,
)


@given(body=st.binary() | ANYTHING.map(lambda content: json.dumps(content).encode()))
def test_any_body_is_rows_or_a_data_error(body):
    try:
        rows = parse(body)
    except DataError as error:
        assert str(error)
    else:
        assert len(rows.keys) == len(rows.columns) > 0
        assert all("key" not in row for row in rows.columns)


@given(values=st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0")), min_size=1, max_size=5))
def test_texts_arrive_as_they_were_sent(values):
    body = json.dumps({"rows": [{"key": value, "a": value} for value in values]}).encode()
    rows = parse(body)
    assert rows.keys == values
    assert [row["a"] for row in rows.columns] == values


def test_an_escaped_backslash_before_u0000_is_no_nul():
    assert parse(b'{"rows": [{"a": "\\\\u0000"}]}').columns == [{"a": "\\u0000"}]


def test_one_row_more_than_allowed_is_too_large():
    rows = [{"a": 1}] * MAX_ROWS
    assert len(parse(json.dumps({"rows": rows}).encode()).columns) == MAX_ROWS
    with pytest.raises(TooLargeError, match="10,001 rows"):
        parse(json.dumps({"rows": [*rows, {}]}).encode())


@pytest.mark.parametrize(
    ("url", "bound"),
    [
        ("http://127.0.0.1:8000", ("127.0.0.1", 8000)),
        ("http://serving:9/", ("serving", 9)),
        ("http://host", ("host", 80)),
        ("http://[::1]:7", ("::1", 7)),
    ],
)
def test_the_address_to_bind_comes_from_the_setting(url, bound):
    assert address(url) == bound


@pytest.mark.parametrize("url", ["", "8000", "https://host", "http://host:port", "http://host:99999", "http://[::1"])
def test_an_address_that_is_none_names_the_setting(url):
    with pytest.raises(ConfigError, match="EVERGREEN_SERVING_URL"):
        address(url)
