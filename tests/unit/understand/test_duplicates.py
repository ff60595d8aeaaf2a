"""The same rows in two parts of a split: planted ones are found, those that chance makes are not."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from ml import problem
from ml.samples import SAMPLES
from ml.settings import PROJECT
from ml.understand import duplicates
from ml.understand.columns import Column
from ml.understand.duplicates import Parts
from ml.understand.sample import column_of
from tests.unit.understand.kit import column, labels_of

SIZE, TEACHING = 3000, 2400


def parts(*columns, keys=None, frozen=True):
    judging = np.arange(SIZE) >= TEACHING
    labels = labels_of(np.full(SIZE, 0.3)).astype(np.int64)
    return Parts(keys or [str(n) for n in range(SIZE)], judging, columns, labels, frozen)


def rich():
    rng = np.random.default_rng(5)
    return [
        column("amount", rng.normal(size=SIZE).tolist()),
        column("carrier", rng.choice(["a", "b"], SIZE).tolist(), "category"),
    ]


def copied(made, share):
    """A share of the judging rows become copies of teaching ones, under their own keys."""
    count = int(share * (SIZE - TEACHING))
    order = np.arange(SIZE)
    order[TEACHING : TEACHING + count] = np.arange(count)
    columns = [Column(c.name, c.kind, c.values.take(pa.array(order))) for c in made.columns]
    return replace(made, columns=columns, labels=made.labels[order])


def test_rows_without_copies_are_no_finding():
    assert duplicates.look(parts(*rich())).findings == ()


@pytest.mark.parametrize("frozen", [True, False], ids=["of a run", "older and newest"])
def test_copies_under_other_keys_are_found(frozen):
    (found,) = duplicates.look(copied(parts(*rich(), frozen=frozen), 0.05)).findings
    assert found.severity == ("serious" if frozen else "warning")
    assert found.numbers["share"] == pytest.approx(0.05)


def test_a_copy_with_another_label_is_no_copy():
    made = parts(*rich())
    other = replace(copied(made, 0.05), labels=made.labels)
    assert duplicates.twins(other).share < duplicates.twins(copied(made, 0.05)).share


def test_keys_in_both_parts_are_found():
    keys = [str(n) for n in range(SIZE)]
    keys[-3:] = keys[:3]
    (found,) = duplicates.look(parts(*rich(), keys=keys)).findings
    assert found.subject == "keys"
    assert found.numbers["keys"] == 3


def test_rows_of_few_values_are_equal_by_chance_and_not_judged():
    rng = np.random.default_rng(0)
    coarse = [column("c", rng.choice(["a", "b"], SIZE).tolist(), "category"), column("d", rng.integers(0, 3, SIZE).tolist())]
    found = duplicates.look(parts(*coarse))
    assert found.findings == ()
    assert "cannot be told from chance" in found.unknown


def test_copied_texts_are_found_among_rows_that_are_equal_otherwise():
    texts = [f"complaint number {n} about a loan" if n % 2 else None for n in range(SIZE)]
    made = parts(column("c", ["a"] * SIZE, "category"), column("story", texts, "text"))
    assert duplicates.look(made).findings == ()
    (found,) = duplicates.look(copied(made, 0.1)).findings
    assert "rows with a story" in found.sentence


def test_few_rows_are_not_assessable():
    made = parts(*rich())
    few = replace(made, judging=np.arange(SIZE) >= SIZE - 10)
    assert duplicates.look(few).unknown


def test_real_flights_have_no_copies():
    about = problem.load("flights", PROJECT / "ml" / "problems")
    rows = SAMPLES["flights"].read(None).slice(0, 27_000)
    rows = rows.filter(pc.is_valid(rows["late_15"]))
    columns = [column_of(rows, name, about) for name in about.features]
    judging = np.arange(rows.num_rows) >= 20_000
    labels = np.asarray(rows["late_15"].cast(pa.int8()).to_numpy(), np.int64)
    made = Parts(rows["flight_id"].to_pylist(), judging, [c for c in columns if c], labels, frozen=True)
    assert duplicates.look(made).findings == ()
