"""A training in a process of its own: watched, killed and gone on with, begun with other weights, taught to miss values."""

import numpy as np
import pyarrow as pa
import pytest

from ml import features
from ml.features import encoder
from ml.problem import Feature, Training
from ml.train import fit, missing, warm
from ml.train.checkpoint import Checkpoint
from ml.train.learner import Learner

FEATURES = {
    "colour": Feature(type="category"),
    "size": Feature(type="number"),
    "at": Feature(type="datetime"),
    "note": Feature(type="text", tokens=4),
    "more": Feature(type="text", tokens=3),
}
TRAINING = Training(layers=(8,), epochs=6, patience=6, batch_size=64, dropout=0.3, checkpoint_seconds=0)


def sample(size: int = 900, seed: int = 0, colours: tuple[str, ...] = ("red", "blue", "green")):
    generator = np.random.default_rng(seed)
    colour, sizes = generator.choice(colours, size), generator.normal(size=size)
    labels = (generator.random(size) < 1 / (1 + np.exp(1 - 2 * (colour == "red") - 2 * sizes))).astype(np.float32)
    times = np.datetime64("2013-01-01", "us") + generator.integers(0, 10**12, size)
    notes, more = generator.choice(["late again", "fine"], size), generator.choice(["some words here", "again"], size)
    columns = {
        "colour": colour,
        "size": sizes,
        "at": pa.array(times).cast(pa.timestamp("us", "UTC")),
        "note": notes,
        "more": more,
    }
    rows = pa.table(columns)
    learned = features.fit(rows, FEATURES, timezone="UTC")
    return learned, rows, encode(learned, rows) | {"label": labels}


def encode(learned: features.Encoding, rows: pa.Table):
    return encoder.encode(encoder.build(learned), features.inputs(rows, FEATURES, timezone="UTC"))


def begin(arrays, learned, **changes) -> Learner:
    training = TRAINING.model_copy(update=changes)
    return fit.begin(arrays, arrays, sizes=encoder.sizes(learned), task="binary", training=training)


class KilledError(Exception):
    pass


def test_a_killed_training_goes_on_and_ends_with_the_same_weights(tmp_path):
    learned, _, arrays = sample()
    whole = fit.learn(begin(arrays, learned), lambda told: None)

    def killed(told):
        if told["epoch"] == 4:
            raise KilledError

    path, epochs = tmp_path / "checkpoint.npz", []
    with pytest.raises(KilledError):
        fit.learn(begin(arrays, learned), killed, checkpoint=Checkpoint(path, "inputs", 0.0))
    after = fit.learn(begin(arrays, learned), epochs.append, checkpoint=Checkpoint(path, "inputs", 0.0))
    assert [told["epoch"] for told in epochs] == [4, 5, 6]
    assert after.history == whole.history
    for one, other in zip(after.model.get_weights(), whole.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_checkpoint_of_other_inputs_is_not_gone_on_from(tmp_path):
    learned, _, arrays = sample()
    fit.learn(begin(arrays, learned), lambda told: None, checkpoint=Checkpoint(tmp_path / "one.npz", "these", 0.0))
    epochs: list = []
    fit.learn(begin(arrays, learned), epochs.append, checkpoint=Checkpoint(tmp_path / "one.npz", "those", 0.0))
    assert epochs[0]["epoch"] == 1


def test_warm_weights_mean_the_same_under_another_vocabulary(tmp_path):
    learned, rows, arrays = sample()
    champion = fit.learn(begin(arrays, learned), lambda told: None).model
    warm.save(tmp_path / "weights.npz", champion)
    later, _, _ = sample(seed=5, colours=("green", "black", "red", "red"))
    assert later.statistics["colour"].vocabulary != learned.statistics["colour"].vocabulary
    known = later.model_copy(update={"statistics": later.statistics | {"size": learned.statistics["size"]}})
    model = begin(encode(known, rows) | {"label": arrays["label"]}, known).model
    assert warm.take_over(model, known, tmp_path / "weights.npz", learned) == ""
    alike = np.array([colour in ("red", "green") for colour in rows["colour"].to_pylist()])
    got = fit.predict(model, {name: array[alike] for name, array in encode(known, rows).items()})
    np.testing.assert_allclose(got, fit.predict(champion, arrays)[alike], atol=1e-6)


@pytest.mark.parametrize(
    ("features_", "changes", "why"),
    [({"colour": FEATURES["colour"]}, {}, "features are others"), (FEATURES, {"layers": (9,)}, "layers are others")],
    ids=["features", "layers"],
)
def test_weights_that_do_not_fit_are_left(tmp_path, features_, changes, why):
    learned, rows, arrays = sample()
    warm.save(tmp_path / "weights.npz", begin(arrays, learned).model)
    own = features.fit(rows, features_, timezone="UTC")
    packed = encoder.encode(encoder.build(own), features.inputs(rows, features_, timezone="UTC")) | {"label": arrays["label"]}
    model = begin(packed, own, **changes).model
    before = model.get_weights()
    assert why in warm.take_over(model, own, tmp_path / "weights.npz", learned)
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_copies_drop_values_as_the_encoder_tells_missing_ones():
    learned, rows, arrays = sample()
    more = missing.with_copies(arrays, learned, 0.5, seed=1)
    assert len(more["label"]) == 1350
    for name, array in arrays.items():
        np.testing.assert_array_equal(more[name][:900], array)
    nothing = encode(learned, pa.table({name: pa.nulls(1, rows.schema.field(name).type) for name in FEATURES}))
    dropped = np.zeros((450, len(FEATURES)), dtype=bool)
    for column, parts in enumerate(encoder.places(learned).values()):
        gone = [(more[kind][900:, place] == nothing[kind][0, place]).all(axis=1) for kind, place in parts.items()]
        dropped[:, column] = np.logical_and.reduce(gone)
    assert dropped.any(axis=1).all()
    assert 0.4 < dropped.mean() < 0.75
    again = missing.with_copies(arrays, learned, 0.5, seed=1)
    assert all(np.array_equal(again[name], more[name]) for name in more)
