"""Training: learns, stops early, repeats itself to the bit, exports what it trained, and refuses nonsense."""

import json

import numpy as np
import pyarrow as pa
import pytest

from ml import features
from ml.errors import DataError
from ml.features import encoder
from ml.problem import Feature, Training
from ml.scoring import Scorer
from ml.train import export, fit

ABOUT = {"problem": "p", "run_key": "r", "task": "binary", "outputs": ["late"], "thresholds": [0.4]}
FEATURES = {"colour": Feature(type="category"), "size": Feature(type="number"), "note": Feature(type="text", tokens=5)}
TRAINING = Training(layers=(8,), epochs=4, patience=2, batch_size=64)


def sample(size: int = 1200, seed: int = 0) -> tuple[pa.Table, np.ndarray]:
    generator = np.random.default_rng(seed)
    colours, sizes = generator.choice(["red", "blue", "green"], size), generator.normal(size=size)
    logit = 2 * (colours == "red") + sizes - 1
    labels = (generator.random(size) < 1 / (1 + np.exp(-logit))).astype(np.float32)
    notes = np.where(labels == 1, "late again", "fine today")
    notes = np.where(generator.random(size) < 0.7, "nothing", notes)
    return pa.table({"colour": colours, "size": sizes, "note": notes}), labels


@pytest.fixture(scope="module")
def encoded():
    rows, labels = sample()
    learned = features.fit(rows, FEATURES, timezone="UTC")
    arrays = encoder.encode(encoder.build(learned), features.inputs(rows, FEATURES, timezone="UTC")) | {"label": labels}
    parts = [{name: array[start:end] for name, array in arrays.items()} for start, end in ((0, 800), (800, 1000), (1000, 1200))]
    return learned, rows, parts


def train(encoded, progress=lambda told: None, **changes) -> fit.Fitted:
    learned, _, (first, second, _) = encoded
    training = TRAINING.model_copy(update=changes)
    return fit.fit(first, second, sizes=encoder.sizes(learned), task="binary", training=training, progress=progress)


def test_it_learns_and_tells_every_epoch(encoded):
    from ml import metrics

    told = []
    fitted = train(encoded, told.append, epochs=8)
    _, _, (_, _, test) = encoded
    assert metrics.metric("auc", test["label"].astype(float), fit.predict(fitted.model, test)) > 0.75
    assert [one["epoch"] for one in told] == list(range(1, len(fitted.history["loss"]) + 1))


def test_same_seed_same_weights_to_the_bit(encoded):
    one, two, other = train(encoded), train(encoded), train(encoded, seed=2)
    same = [np.array_equal(a, b) for a, b in zip(one.model.get_weights(), two.model.get_weights(), strict=True)]
    assert all(same)
    assert not all(np.array_equal(a, b) for a, b in zip(one.model.get_weights(), other.model.get_weights(), strict=True))


def test_the_penalties_shrink_what_the_layers_hold(encoded):
    def hidden(**penalty) -> np.ndarray:
        return np.abs(train(encoded, epochs=8, patience=8, **penalty).model.get_layer("hidden_0").get_weights()[0])

    free, absolute, squared = hidden(l2=0.0), hidden(l1=0.01, l2=0.0), hidden(l2=0.03)
    assert absolute.sum() < 0.8 * free.sum()
    assert (squared**2).sum() < 0.8 * (free**2).sum()
    assert (absolute < 0.01).mean() > 2 * (free < 0.01).mean()  # the absolute one drives needless weights to zero


def test_a_loss_that_is_not_finite_stops(encoded):
    with pytest.raises(DataError, match=r"not finite.*learning_rate"):
        train(encoded, learning_rate=1e30)


def test_the_exported_model_takes_raw_rows_and_answers_alike(encoded, tmp_path):
    learned, rows, (_, _, test) = encoded
    fitted = train(encoded)
    expected = fit.predict(fitted.model, test)
    export.write(tmp_path / "model", fitted.model, learned, about=ABOUT)
    export.write_example(tmp_path / "model", rows.slice(1000), expected)
    scorer = Scorer.load(tmp_path / "model")
    assert np.abs(scorer.score(rows.slice(1000)) - expected).max() < 1e-6
    example = json.loads((tmp_path / "model" / "example.json").read_text())
    assert np.abs(scorer.score(scorer.table(example["rows"])) - example["scores"]).max() < 1e-6
    assert scorer.thresholds == (0.4,)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"colour": "red", "size": 1.0}, "Row 0 has no column 'note'"),
        ({"colour": "red", "size": 1.0, "note": "", "extra": 1}, "unknown column 'extra'"),
        ({"colour": "red", "size": "big", "note": ""}, "Row 0, column 'size': expected a number or null. Received: 'big'"),
        ({"colour": "red", "size": float("inf"), "note": ""}, "column 'size': expected a number or null. Received: inf"),
        ({"colour": 3, "size": 1.0, "note": ""}, "column 'colour': expected a string or null"),
        ({"colour": "red", "size": True, "note": ""}, "column 'size': expected a number"),
    ],
)
def test_a_row_that_does_not_fit_is_named(encoded, tmp_path, row, message):
    scorer = Scorer(tmp_path, FEATURES, "UTC", thresholds=(0.5,))
    with pytest.raises(DataError, match=message):
        scorer.table([row])


def test_a_folder_that_holds_no_model_is_told(tmp_path):
    with pytest.raises(DataError, match="holds no whole model"):
        Scorer.load(tmp_path)
