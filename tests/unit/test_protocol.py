"""The protocol's validation score: real networks, one per fold, and what they may not know."""

import json
from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from ml import problem as problems
from ml.errors import DataError
from ml.problem import Feature, Split, Training
from ml.settings import PROJECT
from ml.split import split_rows
from ml.train import protocol

FLIGHTS = problems.load("flights", PROJECT / "ml" / "problems")
TRAINING = Training(layers=(4,), epochs=4, batch_size=64, learning_rate=0.02)


def frozen(split: Split, num_days: int = 24) -> tuple[pa.Table, problems.Problem]:
    """A number that tells, and a category that is another one every day."""
    random = np.random.default_rng(0)
    days = np.repeat([str(date(2013, 1, 1) + timedelta(days=day)) for day in range(num_days)], 40)
    size = random.normal(size=len(days))
    rows = {"size": size, "carrier": days, "_key": [f"k{n}" for n in range(len(days))], "_day": days}
    rows |= {"_label": random.random(len(days)) < 1 / (1 + np.exp(-3 * size))}
    features = {"size": Feature(type="number"), "carrier": Feature(type="category")}
    about = FLIGHTS.model_copy(update={"split": split, "features": features, "training": TRAINING})
    return split_rows(pa.table(rows), split)[0], about


@pytest.mark.parametrize(
    ("split", "num_folds"),
    [
        (Split(validation_days=4, test_days=4, minimum_rows=9), 1),
        (Split(protocol="rolling", folds=3, validation_days=4, test_days=4, minimum_rows=9), 3),
    ],
    ids=["holdout", "rolling"],
)
def test_a_network_per_fold_and_the_noise_between_them(tmp_path, split, num_folds):
    rows, about = frozen(split)
    protocol.write(tmp_path, rows, about)
    found = protocol.judge(tmp_path, about, TRAINING)
    assert len(found.scores) == len(found.epochs) == num_folds
    assert found.value == pytest.approx(np.mean(found.scores))
    assert 0.7 < found.value < 1
    assert found.deviation is not None
    assert found.deviation > 0
    if num_folds > 1:
        assert found.deviation == pytest.approx(np.std(found.scores, ddof=1))
        assert found == protocol.judge(tmp_path, about, TRAINING)  # to the bit


def test_the_encoder_of_a_fold_knows_only_what_teaches_in_it(tmp_path):
    rows, about = frozen(Split(protocol="rolling", folds=2, validation_days=4, test_days=4, minimum_rows=9))
    protocol.write(tmp_path, rows, about)
    known = [json.loads((tmp_path / f"{fold}.json").read_text())["category_values"] for fold in (0, 1)]
    assert known == [12 + 2, 16 + 2]  # days before the window, unseen, missing
    with np.load(tmp_path / "0.npz") as arrays:
        assert set(arrays["judges.categories"].ravel()) == {0}  # every day that judges is unseen


def test_jackknife_of_a_mean_is_its_standard_error():
    values = np.array([1.0, 4.0, 2.0, 7.0])
    left = [np.delete(values, place).mean() for place in range(4)]
    assert protocol.jackknife(left) == pytest.approx(values.std(ddof=1) / 2)
    assert protocol.jackknife([1.0]) is None


def test_a_fold_in_which_every_label_is_the_same_is_named(tmp_path):
    rows, about = frozen(Split(protocol="rolling", folds=3, validation_days=4, test_days=4, minimum_rows=9))
    calm = pc.and_(rows["_label"], pc.less(rows["_day"], "2013-01-13"))  # from then on nothing is late
    with pytest.raises(DataError, match=r"In the judging \(fold 2\) part every .* lengthen that part"):
        protocol.write(tmp_path, rows.set_column(rows.column_names.index("_label"), "_label", calm), about)
