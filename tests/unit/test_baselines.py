"""Simple models: they learn in every task, know nothing of the test labels, and stand in the shape that scores have."""

import numpy as np
import pyarrow as pa
import pytest

from ml import baselines
from ml.baselines import fit_and_score
from ml.train.baselines import look_back

SIZES = {"categories": 2, "numbers": 2, "tokens": 3, "category_values": 404, "token_values": 20}
TASKS = ("binary", "multiclass", "multilabel", "regression", "vector_regression")


def part(size: int, task: str, seed: int = 0) -> baselines.Arrays:
    """Rows whose label hangs on a category, a number and a word."""
    random = np.random.default_rng(seed)
    few, many = random.integers(0, 4, size), random.integers(4, 404, size)  # more values than trees take
    numbers, tokens = random.normal(size=(size, 2)).astype(np.float32), random.integers(0, 20, (size, 3))
    signal = 2.0 * (few == 1) + numbers[:, 0] + 1.5 * (tokens == 7).any(axis=1) - 1
    noisy = signal + random.logistic(size=size)
    label = {
        "binary": noisy > 0,
        "multiclass": np.eye(3)[np.digitize(noisy, [-1, 1])],
        "multilabel": np.stack([noisy > 0, noisy > 1], axis=1),
        "regression": 10 * noisy + 3,
        "vector_regression": np.stack([noisy, -noisy], axis=1),
    }[task]
    indices = {"categories": np.stack([few, many], axis=1).astype(np.int32), "tokens": tokens.astype(np.int32)}
    return indices | {"numbers": numbers, "label": label.astype(np.float32)}


def score(names, task, **changes):
    train, validation, test = (part(size, task, seed) | changes for seed, size in enumerate((3000, 600, 800)))
    return fit_and_score(names, train, validation, test, sizes=SIZES, task=task), test["label"]


def loss(labels, scores, task):
    if "regression" in task:
        return np.mean((labels - scores) ** 2)
    cut = np.clip(scores, 1e-7, 1 - 1e-7)
    return -np.mean(labels * np.log(cut) + (1 - labels) * np.log(1 - cut))


@pytest.mark.parametrize("task", TASKS)
def test_linear_and_boosting_learn_what_the_prior_cannot_know(task):
    scores, labels = score(["prior", "linear", "boosting"], task)
    assert {name: (one.shape, one.dtype) for name, one in scores.items()} == dict.fromkeys(scores, (labels.shape, np.float64))
    assert loss(labels, scores["linear"], task) < 0.9 * loss(labels, scores["prior"], task)
    assert loss(labels, scores["boosting"], task) < 0.95 * loss(labels, scores["prior"], task)
    if task == "multiclass":
        assert all(np.allclose(one.sum(axis=1), 1, atol=1e-6) for one in scores.values())


@pytest.mark.parametrize("token_values", [2, 3])
def test_texts_with_hardly_a_word_are_no_error(token_values):
    def alone(size: int, seed: int) -> baselines.Arrays:
        nothing = np.zeros((size, 0))
        tokens = np.random.default_rng(seed).integers(0, token_values, (size, 3)).astype(np.int32)
        words = {"tokens": tokens, "categories": nothing.astype(np.int32), "numbers": nothing.astype(np.float32)}
        return part(size, "binary", seed) | words

    sizes = {"categories": 0, "numbers": 0, "tokens": 3, "category_values": 0, "token_values": token_values}
    parts = (alone(size, seed) for seed, size in enumerate((3000, 600, 800)))
    scores = fit_and_score(["linear", "boosting"], *parts, sizes=sizes, task="binary")
    assert all(np.isfinite(one).all() and one.shape == (800,) for one in scores.values())


@pytest.mark.parametrize("task", TASKS)
def test_the_prior_is_the_mean_of_the_training_labels(task):
    scores, _ = score(["prior"], task)
    assert np.allclose(scores["prior"], part(3000, task)["label"].mean(axis=0), atol=1e-6)


def test_the_median_is_the_middle_of_the_training_labels():
    scores, _ = score(["median"], "regression")
    assert np.allclose(scores["median"], np.median(part(3000, "regression")["label"]))


@pytest.mark.parametrize("name", ["prior", "linear", "boosting"])
def test_no_baseline_sees_the_test_labels(name):
    train, validation, test = (part(size, "binary", seed) for seed, size in enumerate((3000, 600, 800)))
    blind = test | {"label": 1 - test["label"]}
    seen, unseen = (fit_and_score([name], train, validation, one, sizes=SIZES, task="binary")[name] for one in (test, blind))
    assert np.array_equal(seen, unseen)


def test_an_output_that_never_happened_keeps_its_rate():
    train, validation, test = (part(size, "multilabel", seed) for seed, size in enumerate((3000, 600, 800)))
    for one in (train, validation):
        one["label"][:, 1] = 0
    scores = fit_and_score(["linear", "boosting"], train, validation, test, sizes=SIZES, task="multilabel")
    assert all((one[:, 1] == 0).all() and len(np.unique(one[:, 0])) > 100 for one in scores.values())


def test_a_class_that_training_never_had_gets_nothing():
    train, validation, test = (part(size, "multiclass", seed) for seed, size in enumerate((3000, 600, 800)))
    kept = train["label"][:, 2] == 0
    train = {name: array[kept] for name, array in train.items()}
    scores = fit_and_score(["linear", "boosting"], train, validation, test, sizes=SIZES, task="multiclass")
    assert all((one[:, 2] == 0).all() for one in scores.values())


def test_last_repeats_the_newest_known_day_of_the_entity():
    train = {"entity": np.array([0, 0, 1]), "day": np.array([0, 1, 1]), "label": np.array([1.0, 0.0, 1.0])}
    validation = {"entity": np.array([1, 1]), "day": np.array([2, 2]), "label": np.array([1.0, 0.0])}
    test = {"entity": np.array([1, 0, 2]), "day": np.array([3, 4, 4]), "label": np.array([0.0, 0.0, 0.0])}
    scores = fit_and_score(["last"], train, validation, test, sizes=SIZES, task="binary")["last"]
    assert scores.tolist() == [0.5, 0.0, 0.5]  # its day 2; its day 1; never seen: the newest day of all


def test_entities_are_named_by_several_columns_and_days_stay_in_order():
    days = ["2013-01-01", "2013-01-09", "2013-01-10", "2013-01-10"]
    rows = pa.table({"a": ["x", "x", None, "x"], "b": [1, 2, 1, 1], "_day": days})
    arrays = {name: {"label": np.zeros(size)} for name, size in (("train", 2), ("validation", 1), ("test", 1))}
    told = look_back(arrays, rows, ("a", "b"))
    assert told["test"]["entity"] == told["train"]["entity"][0]
    assert len({*told["train"]["entity"], *told["validation"]["entity"]}) == 3
    assert [*told["train"]["day"], *told["validation"]["day"], *told["test"]["day"]] == [0, 1, 2, 2]
