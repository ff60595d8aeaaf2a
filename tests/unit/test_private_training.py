"""Differential privacy: no row moves the weights further than allowed, noise is what it should be, epsilon counts every look."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError
from scipy.stats import norm

from ml import features, metrics
from ml.errors import ConfigError
from ml.features import encoder
from ml.problem import Dp, Feature, Training
from ml.train import fit
from ml.train.checkpoint import Checkpoint
from ml.train.learner import Learner
from ml.train.private import epsilon, poisson_batches
from tests.unit import test_refit

FEATURES = {
    "colour": Feature(type="category"),
    "size": Feature(type="number"),
    "at": Feature(type="datetime"),
    "note": Feature(type="text", tokens=5),
}
WORDS = ["late late again", "fine", "", "again late late late word"]  # words that repeat, none, more than fit
ROWS = 16
DP = Dp(noise=1.1, clip=0.5, delta=1e-5)
TRAINING = Training(layers=(8,), epochs=5, patience=5, batch_size=64, dropout=0.0, l2=0.01, dp=DP)


def arrays(size: int = 600, seed: int = 0, outputs: int = 1):
    random = np.random.default_rng(seed)
    sizes = random.normal(size=size)
    times = pa.array(np.datetime64("2013-01-01", "us") + random.integers(0, 10**12, size)).cast(pa.timestamp("us", "UTC"))
    rows = {"colour": random.choice(["red", "blue"], size), "size": sizes, "at": times, "note": random.choice(WORDS, size)}
    learned = features.fit(pa.table(rows), FEATURES, timezone="UTC")
    packed = encoder.encode(encoder.build(learned), features.inputs(pa.table(rows), FEATURES, timezone="UTC"))
    chance = 1 / (1 + np.exp(1 - 2 * (rows["colour"] == "red") - 2 * sizes))
    label = (random.random((outputs, size)) < chance).astype(np.float32).T
    return learned, packed | {"label": label[:, 0] if outputs == 1 else label}


def begin(learned, packed, *, task: str = "binary", key: int = 7, **changes) -> Learner:
    training = TRAINING.model_copy(update=changes)
    return fit.begin(packed, packed, sizes=encoder.sizes(learned), task=task, training=training, key=key)


def halves(learner: Learner, packed, rows) -> tuple[dict, np.ndarray]:
    """Inputs and labels of some rows, as the learner takes them."""
    held = {name: tensor.numpy()[rows] for name, tensor in learner._tensors(packed).items()}
    return {name: array for name, array in held.items() if name != "label"}, held["label"]


def length_of(tensors) -> float:
    return float(np.sqrt(sum(np.sum(np.square(one)) for one in tensors)))


@pytest.mark.parametrize(("task", "outputs"), [("binary", 1), ("multilabel", 3), ("regression", 1)])
def test_a_row_moves_the_weights_by_no_more_than_clip_and_otherwise_as_far_as_its_gradient_says(task, outputs):
    import tensorflow as tf

    learned, packed = arrays(outputs=outputs)
    learner = begin(learned, packed, task=task)
    for _ in range(2):  # away from where the wide part has no weights
        for stretch in learner.stretches(0):
            learner.run(stretch)
    gradients, raw, truth = learner._row_gradients, learner._raw, []
    for row in range(ROWS):
        inputs, label = halves(learner, packed, [row])
        with tf.GradientTape() as tape:
            loss = learner._losses(raw(inputs), label)
        truth.append([tf.convert_to_tensor(one) for one in tape.gradient(loss, raw.trainable_variables)])
    lengths = [length_of(one) for one in truth]
    clip = float(np.median(lengths))  # half of the rows are cut
    gradients._dp = Dp(noise=1.1, clip=clip)
    inputs, label = halves(learner, packed, range(ROWS))
    _, got = gradients.clipped(inputs, lambda answers: learner._losses(answers, label))
    for place, one in enumerate(got):
        cut = [row[place] * min(1, clip / length) for row, length in zip(truth, lengths, strict=True)]
        np.testing.assert_allclose(one, sum(cut), rtol=1e-4, atol=1e-5)


def test_one_absurd_row_cannot_drown_the_others():
    learned, packed = arrays()
    learner = begin(learned, packed, task="regression")
    inputs, label = halves(learner, packed, [0])
    _, summed = learner._row_gradients.clipped(inputs, lambda answers: learner._losses(answers, label + 1e6))
    assert length_of(summed) == pytest.approx(DP.clip, rel=1e-4)


def test_the_noise_is_as_large_as_it_should_be_and_other_at_every_step_and_for_every_variable():
    learned, packed = arrays()
    gradients = begin(learned, packed, layers=(400,))._row_gradients
    inputs, _ = halves(begin(learned, packed), packed, [0])

    def noise(step: int, key: int = 7) -> list[np.ndarray]:
        gradients._key = key
        losses = lambda answers: 0.0 * answers[:, 0]  # noqa: E731
        return [one.numpy().ravel() for one in gradients(inputs, losses, step)[1]]

    first, again, next_, other = noise(0), noise(0), noise(1), noise(0, key=8)
    many = np.concatenate(first)
    assert many.std() == pytest.approx(DP.noise * DP.clip, rel=0.05)
    assert abs(many.mean()) < 0.05
    assert all(np.array_equal(one, same) for one, same in zip(first, again, strict=True))
    for changed in (next_, other):
        assert abs(np.corrcoef(many, np.concatenate(changed))[0, 1]) < 0.1
    assert len({one[0] for one in first}) == len(first)


def test_every_row_is_in_a_step_by_a_chance_of_its_own():
    batches = poisson_batches(200, 0.1, 3000, np.random.default_rng(0))
    counts = (batches >= 0).sum(axis=1)
    assert counts.mean() == pytest.approx(20, rel=0.03)
    assert counts.var() == pytest.approx(200 * 0.1 * 0.9, rel=0.1)  # binomial, as for chances that know nothing of each other
    assert all(len(set(batch[batch >= 0])) == (batch >= 0).sum() for batch in batches)
    assert np.bincount(batches[batches >= 0], minlength=200).std() < 30


def test_epsilon_grows_with_steps_and_rates_and_falls_with_noise():
    def told(noise: float, *fits: tuple[float, int]) -> float:
        return epsilon(Dp(noise=noise), fits)

    usual = told(1.1, (0.03, 300))
    assert told(1.1, (0.03, 600)) > usual
    assert told(1.1, (0.06, 300)) > usual
    assert told(1.1, (0.03, 300), (0.025, 300)) > usual
    assert told(2.0, (0.03, 300)) < usual


def test_epsilon_is_the_one_of_the_formula_where_there_is_one():
    """Every row in every step: a Gaussian mechanism of mean sqrt(steps) / noise (Dong, Roth and Su 2019, corollary 2.13)."""
    mean, steps = np.sqrt(20) / 4, 20
    found = epsilon(Dp(noise=4), [(1.0, steps)])

    def delta(at: float) -> float:
        return norm.cdf(mean / 2 - at / mean) - np.exp(at) * norm.cdf(-mean / 2 - at / mean)

    assert delta(found) <= 1e-5 <= delta(found - 0.15)


def test_it_still_learns_and_goes_on_after_a_kill_with_the_same_noise(tmp_path):
    learned, packed = arrays(3000)
    changes: dict[str, Any] = {"epochs": 12, "patience": 12, "learning_rate": 0.01}
    whole = fit.learn(begin(learned, packed, **changes), lambda told: None)
    scores = fit.predict(whole.model, packed)
    assert metrics.metric("auc", packed["label"].astype(np.float64), scores) > 0.8

    def killed(told):
        if told["epoch"] == 4:
            raise InterruptedError

    kept = Checkpoint(tmp_path / "checkpoint.npz", "inputs", 0.0)
    with pytest.raises(InterruptedError):
        fit.learn(begin(learned, packed, **changes), killed, checkpoint=kept)
    after = fit.learn(begin(learned, packed, **changes), lambda told: None, checkpoint=kept)
    for one, other in zip(after.model.get_weights(), whole.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    other = fit.learn(begin(learned, packed, key=8, **changes), lambda told: None)
    assert not np.array_equal(other.model.get_weights()[0], whole.model.get_weights()[0])


@pytest.mark.parametrize(
    "changes", [{"warm_start": True}, {"missing_copies": 0.5}, {"class_weights": "balanced"}, {"dp": {"noise": 0.01}}]
)
def test_what_would_make_epsilon_wrong_is_refused(changes):
    with pytest.raises(ValidationError, match=r"epsilon would be wrong|hides nothing"):
        Training.model_validate({"dp": {"noise": 1.1}} | changes)


def test_both_fits_of_a_training_are_counted(tmp_path):
    training: dict[str, Any] = {"epochs": 3, "dp": Dp(noise=1.1)}
    _, _, told = test_refit.trained(tmp_path, refit=True, **training)
    assert told.epsilon == epsilon(Dp(noise=1.1), [(16 / 600, 3 * 37), (16 / 1200, told.best_epoch * 75)])


def test_a_delta_that_gives_a_row_away_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="1 / rows, such as 2e-04"):
        test_refit.trained(tmp_path, refit=False, dp=Dp(noise=1.1, delta=0.01))
