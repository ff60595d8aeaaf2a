"""The request log of a state in SQLite says what the one in PostgreSQL would."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from ml import requests
from ml.errors import ConfigError

NOON = datetime(2013, 2, 1, 12, tzinfo=UTC)


def batch(version: int, *keys: str, at: datetime = NOON) -> pa.Table:
    size = len(keys)
    columns = {
        "request_id": [f"at {at.isoformat()}"] * size,
        "position": range(size),
        "version": [version] * size,
        "served_at": [at + timedelta(minutes=number) for number in range(size)],
        "key": keys,
        "score": [0.25] * size,
        "decision": [False] * size,
        "several": [None] * size,
        "row": requests.texts(pa.table({"asked": [f"{key} {version}" for key in keys], "at": [at] * size})),
        "arm": ["champion"] * size,
    }
    return pa.table({name: pa.array(values, requests.SCHEMA.field(name).type) for name, values in columns.items()})


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'state.db'}"


def test_rows_of_a_span_come_back_oldest_first_and_a_batch_that_comes_twice_counts_once(url):
    requests.append_batch(url, "flights", "second", batch(1, "c", at=NOON + timedelta(days=1)))
    for _ in range(2):
        requests.append_batch(url, "flights", "first", batch(1, "a", "b"))
    requests.append_batch(url, "complaints", "first", batch(1, "z"))
    everything = requests.read(url, "flights", NOON, NOON + timedelta(days=2))
    assert everything.schema == requests.SCHEMA
    assert everything["key"].to_pylist() == ["a", "b", "c"]
    assert requests.read(url, "flights", NOON + timedelta(minutes=1), NOON + timedelta(days=1))["key"].to_pylist() == ["b"]
    assert requests.typed(["2013-02-01T12:00:00Z"], "datetime")[0].as_py() == NOON  # as moments stand in `row`
    assert everything["row"].to_pylist()[0] == '{"asked":"a 1","at":"2013-02-01T12:00:00Z"}'


def test_without_what_was_asked_the_rest_is_the_same(url):
    requests.append_batch(url, "flights", "first", batch(1, "a", "b"))
    whole, lean = (requests.read(url, "flights", NOON, NOON + timedelta(days=1), rows=rows) for rows in (True, False))
    assert lean["row"].null_count == lean.num_rows == 2
    assert requests.rows_of(url, "flights", lean.slice(1)) == whole["row"].to_pylist()[1:]
    assert requests.rows_of(url, "flights", lean.slice(2)) == []
    assert lean.drop_columns(["row"]).equals(whole.drop_columns(["row"]))


def test_nothing_was_logged_yet_and_memory_keeps_no_log(url):
    assert requests.read(url, "flights", NOON, NOON + timedelta(days=1)).num_rows == 0
    with pytest.raises(ConfigError, match="Name a file"):
        requests.append_batch("sqlite://", "flights", "first", batch(1, "a"))
