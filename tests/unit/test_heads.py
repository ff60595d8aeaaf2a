"""The last layer of every task: starts at the prior, learns in standard units, answers in the label's own."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from ml import features, models
from ml.features import encoder
from ml.problem import TASKS, Feature, Training
from ml.scoring import Scorer
from ml.train import export, fit

FEATURES = {"colour": Feature(type="category"), "size": Feature(type="number")}
TRAINING = Training(layers=(16,), epochs=12, patience=3, batch_size=64, dropout=0.0, learning_rate=0.01)
SHAPES = {"binary": (), "multiclass": (3,), "multilabel": (2,), "regression": (), "vector_regression": (2,)}


def sample(task: str, size: int = 1500):
    """Rows, and labels of the task that follow from them with some noise."""
    generator = np.random.default_rng(3)
    colours, sizes = generator.choice(["red", "blue", "green"], size), generator.normal(size=size)
    signal = 1.5 * (colours == "red") + sizes
    noisy = np.stack([signal, sizes - (colours == "blue"), -signal], axis=1) + generator.normal(scale=0.5, size=(size, 3))
    labels = {
        "binary": (noisy[:, 0] > 1.0),
        "multiclass": np.eye(3)[noisy.argmax(axis=1)],
        "multilabel": noisy[:, :2] > 0.5,
        "regression": 30 + 40 * noisy[:, 0],
        "vector_regression": [1000, -5] + [200, 0.01] * noisy[:, :2],
    }[task]
    return pa.table({"colour": colours, "size": sizes}), labels.astype(np.float32)


@pytest.fixture(scope="module", params=list(TASKS))
def trained(request):
    """A network of the task on 1,000 rows, with 250 to stop it and 250 that it never saw."""
    rows, labels = sample(request.param)
    learned = features.fit(rows.slice(0, 1000), FEATURES, timezone="UTC")
    arrays = encoder.encode(encoder.build(learned), features.inputs(rows, FEATURES, timezone="UTC")) | {"label": labels}
    parts = [{name: array[first:end] for name, array in arrays.items()} for first, end in ((0, 1000), (1000, 1250), (1250, 1500))]
    asked: Any = {"sizes": encoder.sizes(learned), "task": request.param, "training": TRAINING, "progress": lambda told: None}
    return request.param, learned, rows, parts, fit.fit(*parts[:2], **asked)


def test_it_learns_and_answers_in_the_shape_and_unit_of_its_labels(trained):
    task, _, _, (train, _, test), fitted = trained
    answers = fit.predict(fitted.model, test)
    assert answers.shape == (250, *SHAPES[task])
    known, mean = test["label"].astype(float), train["label"].mean(axis=0)
    spread = models.head(train["label"], task=task).scale
    error, error_of_mean = (np.square((guess - known) / spread.squeeze()).mean() for guess in (answers, mean))
    assert error < 0.65 * error_of_mean
    if TASKS[task].activation != "linear":
        assert ((answers >= 0) & (answers <= 1)).all()
    if task == "multiclass":
        np.testing.assert_allclose(answers.sum(axis=1), 1, atol=1e-6)


def test_the_exported_model_answers_raw_rows_alike(trained, tmp_path):
    task, learned, rows, (train, _, test), fitted = trained
    about = {"problem": "p", "run_key": "r", "task": task, "outputs": [], "thresholds": []}
    export.write(tmp_path / "model", fitted.model, learned, about=about)
    expected = fit.predict(fitted.model, test)
    export.write_example(tmp_path / "model", rows.slice(1250), expected)
    got = Scorer.load(tmp_path / "model").score(rows.slice(1250))
    assert got.shape == expected.shape
    assert (np.abs(got - expected) / models.head(train["label"], task=task).scale.squeeze()).max() < 1e-6


@pytest.mark.parametrize("task", list(TASKS))
def test_an_untrained_network_says_the_prior(task):
    rows, labels = sample(task)
    learned = features.fit(rows, FEATURES, timezone="UTC")
    arrays = encoder.encode(encoder.build(learned), features.inputs(rows, FEATURES, timezone="UTC"))
    nothing = {name: np.zeros_like(array) for name, array in arrays.items()}
    training = TRAINING.model_copy(update={"layers": ()})
    start = models.head(labels, task=task)
    model = models.build(encoder.sizes(learned), task=task, training=training, start=start)
    model.get_layer("head").kernel.assign(np.zeros(model.get_layer("head").kernel.shape))
    np.testing.assert_allclose(fit.predict(model, nothing)[0], labels.mean(axis=0), rtol=1e-3)


@pytest.mark.parametrize("task", ["binary", "multiclass", "multilabel"])
def test_balanced_weights_keep_probabilities_true(task):
    """Weighing moves what is learned, not what a probability means: the mean answer stays the rate."""
    rows, labels = sample(task, 3000)
    rare = np.ones(3000, dtype=bool)
    rare[np.flatnonzero(labels.reshape(3000, -1)[:, 0] == 1)[40:]] = False  # the first class becomes rare
    learned = features.fit(rows, FEATURES, timezone="UTC")
    arrays = encoder.encode(encoder.build(learned), features.inputs(rows, FEATURES, timezone="UTC")) | {"label": labels}
    some = {name: array[rare] for name, array in arrays.items()}
    for weights in ("none", "balanced"):
        training = TRAINING.model_copy(update={"class_weights": weights})
        asked: Any = {"sizes": encoder.sizes(learned), "task": task, "training": training}
        learner = fit.begin(some, some, **asked)
        fitted = fit.learn(learner, lambda told: None)
        mean = fit.predict(fitted.model, some).reshape(len(some["label"]), -1).mean(axis=0)
        np.testing.assert_allclose(mean, some["label"].reshape(len(some["label"]), -1).mean(axis=0), atol=0.03)
        assert learner.start.weights[1][0] == pytest.approx(1.0) if weights == "none" else learner.start.weights[1][0] > 5


def test_without_a_validation_part_every_epoch_is_run():
    rows, labels = sample("binary", 300)
    learned = features.fit(rows, FEATURES, timezone="UTC")
    arrays = encoder.encode(encoder.build(learned), features.inputs(rows, FEATURES, timezone="UTC")) | {"label": labels}
    asked: Any = {"sizes": encoder.sizes(learned), "task": "binary", "training": TRAINING.model_copy(update={"epochs": 5})}
    fitted = fit.fit(arrays, None, **asked, progress=lambda told: None)
    assert fitted.best_epoch == len(fitted.history["loss"]) == 5
