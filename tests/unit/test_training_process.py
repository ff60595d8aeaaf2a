"""A training in a process of its own: watched, killed and gone on with, begun with other weights, taught to miss values."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pyarrow as pa
import pytest

from ml import features
from ml.errors import DataError, TransientError
from ml.features import encoder
from ml.problem import Feature, Training, Watchdog
from ml.train import apart, fit, missing, warm
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


def answer(job, tell):
    tell({"pid": os.getpid()})
    return job * 2


def fail(job, tell):
    raise DataError("the rows are no good")


def hang(job, tell):
    tell({"pid": os.getpid()})
    time.sleep(60)


def talk(job, tell):
    while True:
        tell({})
        time.sleep(0.05)


def eat(job, tell):
    held = [np.ones(40_000_000) for _ in range(3)]  # about a gigabyte
    time.sleep(30)
    return len(held)


def die(job, tell):
    os.kill(os.getpid(), signal.SIGKILL)


def test_work_apart_runs_in_another_process_and_comes_back():
    told = []
    assert apart.run(answer, 21, watchdog=Watchdog(), told=told.append) == 42
    assert told[0]["pid"] != os.getpid()


def test_its_error_is_raised_here_with_the_place_it_came_from():
    with pytest.raises(DataError, match="no good") as caught:
        apart.run(fail, None, watchdog=Watchdog(), told=lambda told: None)
    assert "in fail" in caught.value.__notes__[0]


@pytest.mark.parametrize(
    ("work", "watchdog", "kind", "message"),
    [
        (talk, Watchdog(minutes=0.02), DataError, "ended after 0.02 minutes"),
        (hang, Watchdog(silent_minutes=0.02), TransientError, "no sign of progress for 0.02 minutes"),
        (eat, Watchdog(memory_share=0.03), DataError, r"it held .* GB, allowed are"),
        (die, Watchdog(), TransientError, "was killed"),
    ],
    ids=["too long", "stands still", "too much memory", "killed"],
)
def test_the_watchdog_ends_what_runs_away(work, watchdog, kind, message):
    began = time.monotonic()
    with pytest.raises(kind, match=message):
        apart.run(work, None, watchdog=watchdog, told=lambda told: None)
    assert time.monotonic() - began < 25


ORPHAN = """
from ml.problem import Watchdog
from ml.train import apart
from tests.unit import test_training_process as this
apart.run(this.hang, None, watchdog=Watchdog(), told=lambda told: print(told["pid"], flush=True))
"""


def test_a_training_ends_with_the_process_that_asked_for_it():
    with subprocess.Popen([sys.executable, "-c", ORPHAN], stdout=subprocess.PIPE, text=True) as asking:
        assert asking.stdout is not None
        training = int(asking.stdout.readline())
        asking.kill()
    until = time.monotonic() + 20
    while alive(training) and time.monotonic() < until:
        time.sleep(0.05)
    assert not alive(training)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


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
