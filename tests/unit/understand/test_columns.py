import hypothesis.extra.numpy as arrays
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.understand.columns import MISSING, REST, cells, kind_of, number_cells, numbers
from tests.unit.understand.kit import column

ANY = arrays.arrays(np.float64, st.integers(0, 60), elements=st.floats(width=32))


@given(values=ANY, most=st.integers(1, 12))
def test_every_number_has_one_cell_in_order_and_only_missing_ones_the_last(values, most):
    found = number_cells(values, most)
    assert found.names[-1] == MISSING
    assert ((found.codes >= 0) & (found.codes < len(found.names))).all()
    assert ((found.codes == len(found.names) - 1) == np.isnan(values)).all()
    known = values[~np.isnan(values)]
    assert (np.diff(found.codes[~np.isnan(values)][np.argsort(known, kind="stable")]) >= 0).all()


@given(values=st.lists(st.one_of(st.none(), st.text(max_size=3)), max_size=60), most=st.integers(1, 8))
def test_every_value_has_one_cell_and_the_rest_is_more_than_one(values, most):
    found = cells(column("c", values, "category"), most)
    assert len(found.names) <= most + 2
    for value, code in zip(values, found.codes, strict=True):
        assert (found.names[code] == MISSING and code == len(found.names) - 1) == (value in (None, ""))
        if value and REST not in found.names:
            assert found.names[code] == value
    if REST in found.names:
        assert len({value for value, code in zip(values, found.codes, strict=True) if found.names[code] == REST}) > 1


def test_a_value_that_fills_most_rows_has_a_cell_of_its_own():
    found = number_cells(np.r_[np.zeros(900), np.linspace(1, 9, 100)], 10)
    assert found.names[0] == "0"
    assert (found.codes == 0).sum() == 900
    assert found.names[1].startswith("above 0")
    middle = number_cells(np.r_[np.full(300, 55.0), np.linspace(1, 300, 700)], 8)
    assert "55" in middle.names and any(name.startswith("above 55 to ") for name in middle.names)


def test_infinite_numbers_lie_in_the_outermost_cells():
    found = number_cells(np.r_[-np.inf, np.arange(50.0), np.inf, np.nan], 4)
    assert found.codes[0] == 0
    assert found.codes[-2] == len(found.names) - 2


def test_texts_count_by_words_and_moments_by_the_local_hour():
    assert numbers(column("t", ["two words", "", None, "<script>"], "text")).tolist()[:1] == [2.0]
    moments = pa.array([0, 3_600_000_000], pa.timestamp("us", "UTC")).cast(pa.timestamp("us", "America/New_York"))
    local = column("t", [], "datetime")
    assert numbers(type(local)("t", "datetime", moments)).tolist() == [19.0, 20.0]


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, 2], "number"),
        ([True, None], "boolean"),
        (["NY", "CA", None], "category"),
        ([f"a long sentence about number {n}, and some more of it" for n in range(9)], "text"),
        ([["a"]], None),
        ([None], None),
    ],
    ids=["number", "boolean", "category", "text", "list", "nothing"],
)
def test_the_kind_of_an_undeclared_column(values, kind):
    assert kind_of(pa.array(values)) == kind
