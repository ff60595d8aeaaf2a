"""The last fit: the newest rows, which stopped the training, teach too; the threshold was chosen before."""

import json

import numpy as np
import pyarrow as pa
import pytest

from ml import apart, features, metrics
from ml import problem as problems
from ml.features import encoder
from ml.problem import Feature, Training, Watchdog
from ml.scoring import Scorer
from ml.settings import PROJECT
from ml.train import job

FLIGHTS = problems.load("flights", PROJECT / "ml" / "problems")
FEATURES = {"size": Feature(type="number"), "wind": Feature(type="number")}
TRAINING = Training(layers=(4,), epochs=8, patience=8, batch_size=16, learning_rate=0.05, dropout=0.0)


def rows(size: int, seed: int, told: str) -> tuple[pa.Table, np.ndarray]:
    """Rows whose label hangs on one column, another one in each part."""
    random = np.random.default_rng(seed)
    columns = {name: random.normal(size=size) for name in FEATURES}
    return pa.table(columns), (random.random(size) < 1 / (1 + np.exp(-3 * columns[told]))).astype(np.float32)


def trained(folder, *, refit: bool, **changes) -> tuple[Scorer, dict, job.Outcome]:
    made = {"train": rows(600, 0, "size"), "validation": rows(600, 1, "wind"), "test": rows(50, 2, "wind")}
    encoding = features.fit(made["train"][0], FEATURES, timezone="UTC")
    module = encoder.build(encoding)
    parts = {
        name: encoder.encode(module, features.inputs(table, FEATURES, timezone="UTC")) | {"label": label}
        for name, (table, label) in made.items()
    }
    (folder / "scratch").mkdir(parents=True)
    about = FLIGHTS.model_copy(update={"features": FEATURES, "training": TRAINING.model_copy(update={"refit": refit} | changes)})
    asked = job.Job(about, "run", encoding, parts, made["test"][0], folder / "model", folder / "scratch", "inputs")
    outcome = apart.run(job.work, asked, watchdog=Watchdog(), told=lambda content: None)
    return Scorer.load(folder / "model"), json.loads((folder / "model" / "model.json").read_text()), outcome


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    folder = tmp_path_factory.mktemp("refit")
    return {refit: trained(folder / str(refit), refit=refit) for refit in (True, False)}


def test_what_only_the_newest_rows_tell_is_learned(both):
    table, labels = rows(800, 3, "wind")
    auc = {refit: metrics.metric("auc", labels.astype(float), scorer.score(table)) for refit, (scorer, *_) in both.items()}
    assert auc[False] < 0.6
    assert auc[True] > auc[False] + 0.1


def test_epochs_and_thresholds_are_those_of_the_fit_that_had_not_seen_them(both):
    (_, refitted, told), (_, plain, other) = both[True], both[False]
    assert refitted["thresholds"] == plain["thresholds"]
    assert len(told.history.pop("refit_loss")) == told.best_epoch == other.best_epoch
    assert told.history == other.history
