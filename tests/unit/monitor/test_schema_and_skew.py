"""The feed: values that the champion never learned, and other values than the table holds."""

from datetime import UTC, datetime

import pyarrow as pa
import pytest

from ml.monitor import schema, skew
from ml.monitor.skew import Compared, differ
from tests.unit.monitor.live_kit import ORDERS, evidence, scored, table

SIZE = 1000


def found(columns, **more):
    whole = evidence(columns=columns, scores=scored(SIZE, 3)[0], **more)
    return {finding.subject: finding for finding in schema.of_inputs(whole, ORDERS)}


def spoilt(name, values, share):
    columns = table(SIZE, 3)
    kept = columns[name].to_pylist()
    number = int(share * SIZE)
    columns[name] = pa.chunked_array([pa.array([*values(kept[:number]), *kept[number:]], columns[name].type)])
    return columns


def test_a_clean_feed_has_no_finding():
    assert not [finding.sentence for finding in found(table(SIZE, 3)).values() if finding.drifted]


@pytest.mark.parametrize(
    ("name", "values", "told"),
    [
        ("size", lambda kept: [None] * len(kept), "missing 30.0% against 0.0%"),
        ("size", lambda kept: [float("nan")] * len(kept), "missing 30.0%"),
        ("area", lambda kept: [""] * len(kept), "missing 30.0%"),
        ("size", lambda kept: [1000 * value for value in kept], "out of range 30.0%"),
        ("size", lambda kept: [float("inf")] * len(kept), "out of range 30.0%"),
        ("area", lambda kept: ["east"] * len(kept), "never learned 30.0%"),
    ],
    ids=["null", "nan", "empty text", "unit", "infinite", "new value"],
)
def test_a_defect_in_three_of_ten_rows_is_told_by_kind_and_in_one_of_twenty_it_is_not_enough(name, values, told):
    judged = found(spoilt(name, values, 0.3))
    assert judged[name].drifted and told in judged[name].sentence
    assert judged[name].value == pytest.approx(0.3, abs=0.01)
    assert [one.subject for one in judged.values() if one.drifted] == [name]
    assert not found(spoilt(name, values, 0.05))[name].drifted


def test_a_column_that_requests_stopped_sending_or_send_as_something_else_is_a_finding():
    columns = table(SIZE, 3)
    del columns["size"]
    judged = found(columns, carried={"size": 0.0}, absent={"size": "only 0 of 1000 requests hold it"})
    assert judged["size"].drifted and judged["size"].value == 1.0
    other = found(columns, carried={"size": 1.0}, absent={"size": "requests hold values that are no number (far)"})
    assert other["size"].drifted and "no number" in other["size"].sentence


def test_few_requests_say_nothing():
    whole = evidence(columns=table(20, 3), scores=scored(20, 3)[0])
    assert {finding.drifted for finding in schema.of_inputs(whole, ORDERS)} == {None}


@pytest.mark.parametrize(
    ("asked", "stored", "expected"),
    [
        ([1.0, 0.1 + 0.2, None, 5.0], [1.0, 0.3, None, 5.1], [False, False, False, True]),
        ([None, float("nan"), 1.0], [float("nan"), None, None], [False, False, True]),
        (["a", "", None, "b"], ["a", None, "", "c"], [False, False, False, True]),
        ([True, None, False], [True, None, None], [False, False, True]),
        ([datetime(2026, 3, 1, tzinfo=UTC)], [datetime(2026, 3, 1, 5, tzinfo=UTC)], [True]),
    ],
    ids=["numbers", "missing numbers", "texts", "booleans", "moments"],
)
def test_values_differ_when_their_meaning_does(asked, stored, expected):
    found = differ(pa.array(asked), pa.array(stored, pa.array(asked).type))
    assert found.tolist() == expected


def test_no_rows_differ_in_nothing():
    assert differ(pa.array([], pa.float64()), pa.array([], pa.float64())).tolist() == []


def test_skew_counts_and_quotes_no_value():
    compared = {"size": Compared(1000, 30), "area": Compared(1000, 3), "noise": Compared(50, 50)}
    judged = {finding.subject: finding for finding in skew.of_skew(compared, ORDERS)}
    assert judged["size"].drifted and "30 of 1,000 answers (3.0%)" in judged["size"].sentence
    assert judged["area"].drifted is False and judged["area"].value == pytest.approx(0.003)
    assert judged["noise"].drifted is None and judged["size"].limit == 0.02
