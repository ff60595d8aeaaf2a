import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from ml.understand.rates import Rate, by_cell, explained_by_mix
from tests.unit.understand.kit import column, labels_of


@given(rows=st.integers(1, 500), data=st.data())
def test_the_interval_is_wilsons(rows, data):
    positives = data.draw(st.integers(0, rows))
    theirs = binomtest(positives, rows).proportion_ci(method="wilson")
    assert Rate(positives, rows).interval == pytest.approx((theirs.low, theirs.high), abs=1e-6)


def test_rows_without_a_label_do_not_count():
    found = by_cell(("a", "b"), np.array([0, 0, 1, 1]), np.array([1.0, np.nan, 0.0, np.nan]))
    assert found.rates == (Rate(1, 1), Rate(0, 1))
    assert Rate(0, 0).value is None


def test_a_changed_mix_is_told_from_changed_rates():
    size = 20_000
    later = np.arange(size) >= size // 2
    rng = np.random.default_rng(0)
    mixed = np.where(rng.random(size) < np.where(later, 0.9, 0.3), "low", "high")
    other = np.where(rng.random(size) < 0.5, "a", "b")
    columns = [column("source", mixed.tolist(), "category"), column("other", other.tolist(), "category")]
    by_mix = labels_of(np.where(mixed == "low", 0.1, 0.4))
    name, share = explained_by_mix(columns, by_mix, ~later, later) or ("", 0.0)
    assert name == "source"
    assert share > 0.9
    moved = labels_of(np.where(later, 0.1, 0.3))
    assert (explained_by_mix(columns, moved, ~later, later) or ("", 1.0))[1] < 0.1
