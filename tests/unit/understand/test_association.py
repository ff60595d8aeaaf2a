import numpy as np
import pytest
from scipy.stats import spearmanr

from ml.understand.association import associations, correlation_ratio, cramers_v
from tests.unit.understand.kit import column, labels_of

RNG = np.random.default_rng(0)
SIZE = 4000
LABELS = labels_of(np.full(SIZE, 0.3))
NUMBER = RNG.normal(size=SIZE).round(1)
NAMES = RNG.choice(["a", "b", "c"], SIZE)


def found(*columns):
    return associations(columns, LABELS, "late")


def test_numbers_by_spearman_over_rows_that_have_both():
    other = np.where(RNG.random(SIZE) < 0.2, np.nan, NUMBER**3 + RNG.normal(size=SIZE))
    held = ~np.isnan(other)
    value = found(column("x", NUMBER.tolist()), column("y", [v if ok else None for v, ok in zip(other, held, strict=True)]))
    assert value.values[0, 1] == pytest.approx(spearmanr(NUMBER[held], other[held]).statistic, abs=0.02)


def test_equal_categories_go_together_fully_and_unlike_ones_not_at_all():
    codes = np.unique(NAMES, return_inverse=True)[1]
    assert cramers_v(codes, 2 - codes) == pytest.approx(1.0, abs=0.01)
    assert cramers_v(codes, RNG.integers(0, 3, SIZE)) < 0.05


def test_chance_is_taken_out_where_a_category_has_many_values():
    many = RNG.integers(0, 400, SIZE)
    assert correlation_ratio(many, NUMBER) < 0.15
    assert cramers_v(many, RNG.integers(0, 400, SIZE)) < 0.1
    assert correlation_ratio(np.round(NUMBER * 10).astype(np.int64) + 100, NUMBER) > 0.99


def test_constant_and_empty_columns_are_unknown_not_zero():
    value = found(column("x", [1.0] * SIZE), column("y", [None] * SIZE), column("c", NAMES.tolist(), "category"))
    assert np.isnan(value.values[0, 1])
    assert np.isnan(value.values[0, 2])
    assert value.strongest() == []


def test_the_strongest_pairs_are_named_with_the_label_among_them():
    leak = column("leak", (LABELS + RNG.normal(0, 0.1, SIZE)).tolist())
    pairs = found(leak, column("c", NAMES.tolist(), "category")).strongest()
    assert [set(pair[:2]) for pair in pairs] == [{"leak", "late"}]
