"""Single columns that know the answer, and columns that do not."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.samples import SAMPLES
from ml.understand import leakage
from ml.understand.columns import Column, kind_of
from tests.unit.understand.kit import column, halves, labels_of

SIZE = 4000
LABELS = labels_of(np.full(SIZE, 0.3))
RNG = np.random.default_rng(1)
ORDINARY = [
    column("weak", (LABELS * 0.5 + RNG.normal(size=SIZE)).tolist()),
    column("carrier", RNG.choice(["UA", "AA", "DL"], SIZE).tolist(), "category"),
]


def suspects(*columns):
    asked = leakage.predictors(columns, LABELS, halves(SIZE))
    return leakage.suspects(asked, leakage.pure_cells(columns, LABELS), SIZE).findings


def noisy(share):
    """The label, but for a share of rows."""
    return np.where(RNG.random(SIZE) < share, RNG.random(SIZE) < 0.3, LABELS == 1)


LEAKS = {
    "a delay in minutes": column("leak", (LABELS * 30 + RNG.normal(0, 5, SIZE)).tolist()),
    "a number that is high at both ends": column("leak", np.where(LABELS == 1, RNG.choice([-9.0, 9.0], SIZE), 0.0).tolist()),
    "a status": column("leak", np.where(noisy(0.02), "refunded", "closed").tolist(), "category"),
    "many values": column("leak", [f"{int(label)}-{n % 400}" for n, label in enumerate(LABELS)], "category"),
    "a flag": column("leak", noisy(0.05).tolist(), "boolean"),
    "filled only when yes": column("leak", [f"case {n % 7}" if label else None for n, label in enumerate(LABELS)], "category"),
    "filled for half of the yes": column("leak", [1.0 * n if label and n % 2 else None for n, label in enumerate(LABELS)]),
    "a word": column("leak", [f"order {n} {'was refunded' if label else 'arrived'}" for n, label in enumerate(LABELS)], "text"),
}


@pytest.mark.parametrize("leak", LEAKS.values(), ids=LEAKS)
def test_a_column_that_knows_the_answer_is_named_with_what_to_do(leak):
    (found,) = suspects(*ORDINARY, leak)
    assert found.subject == "leak"
    assert found.severity in ("serious", "warning")
    assert "[leakage]" in found.todo


def test_two_leaks_do_not_hide_each_other():
    found = suspects(*ORDINARY, column("one", (LABELS * 3 + RNG.normal(size=SIZE)).tolist()), LEAKS["a delay in minutes"])
    assert {finding.subject for finding in found} == {"one", "leak"}


def test_a_key_is_no_suspect_although_it_fits_every_row():
    assert suspects(*ORDINARY, column("id", [f"row {n}" for n in range(SIZE)], "category")) == ()


@settings(max_examples=30)
@given(seed=st.integers(0, 10_000), values=st.integers(2, 3000), share=st.floats(0, 0.9))
def test_columns_that_have_nothing_to_do_with_the_label_are_no_suspects(seed, values, share):
    rng = np.random.default_rng(seed)
    names = [None if rng.random() < share else f"v{value}" for value in rng.integers(0, values, SIZE)]
    assert suspects(column("c", names, "category"), column("n", rng.normal(size=SIZE).tolist())) == ()


@pytest.fixture(scope="module")
def january():
    rows = SAMPLES["flights"].read(None)
    return rows.filter(pc.less(rows["sched_dep"], pa.scalar(1_359_700_000_000_000, pa.int64()).cast(pa.timestamp("us", "UTC"))))


def test_real_flights_know_nothing_before_they_leave_and_all_afterwards(january):
    labels = np.asarray(january["late_15"].cast(pa.int8()).cast(pa.float64()).fill_null(np.nan).to_numpy())
    kept = [n for n in january.column_names if n not in ("flight_id", "late_15", "outcome_at", "available_at")]
    columns = [Column(name, kind_of(january[name]) or "text", january[name].combine_chunks()) for name in kept]
    asked = leakage.predictors(columns, labels, halves(len(labels)))
    found = leakage.suspects(asked, leakage.pure_cells(columns, labels), len(labels)).findings
    assert {finding.subject for finding in found} == {"arr_delay", "dep_delay"}
    late = leakage.filled_late(columns, labels).findings
    assert {finding.subject for finding in late} == {"arr_delay", "air_time"}
    assert leakage.constant(columns).findings == ()


def test_a_column_filled_with_the_label_is_named_and_one_that_is_often_empty_is_not():
    waiting = np.arange(SIZE) > SIZE - 500
    labels = np.where(waiting, np.nan, LABELS)
    late = column("closed_by", [None if wait or n % 3 else "x" for n, wait in enumerate(waiting)], "category")
    sparse = column("gust", [1.0 if n % 3 == 0 else None for n in range(SIZE)])
    found = leakage.filled_late([late, sparse], labels)
    assert [finding.subject for finding in found.findings] == ["closed_by"]
    assert "it takes" in leakage.filled_late([late], LABELS).unknown


@pytest.mark.parametrize(
    ("values", "severity"),
    [([None] * 50, "serious"), ([2.5] * 50, "warning"), ([2.5] * 49 + [None], None), ([1.0, 2.0] * 25, None)],
    ids=["no value", "one value", "one value or none", "two values"],
)
def test_columns_without_information(values, severity):
    found = leakage.constant([column("c", values)]).findings
    assert [finding.severity for finding in found] == ([severity] if severity else [])
