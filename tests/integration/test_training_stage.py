"""The stage on a real night of flights: killed in the middle and run again, it ends as if nothing had happened."""

import multiprocessing

import numpy as np
import pytest

from ml import ingest, prepare, train, validate
from ml.context import Context, open_run
from ml.errors import TransientError
from ml.records import Trained
from ml.snapshot import CHECKPOINT, CURVES, WEIGHTS
from ml.train import stage


def prepared(run_key: str) -> Context:
    context = open_run("flights", run_key)
    changes = context.problem.training.model_copy(update={"checkpoint_seconds": 0.0})
    context = Context(context.problem.model_copy(update={"training": changes}), context.settings, run_key)
    for one in (ingest, validate, prepare):
        one.run(context)
    return context


def test_a_killed_training_goes_on_from_the_store(home, monkeypatch, caplog):
    calm, killed, listener = prepared("calm"), prepared("killed"), stage._listener
    train.run(calm)

    def killing(context):
        told = listener(context)

        def tell(content):
            told(content)
            if content.get("epoch") == 4:
                for process in multiprocessing.active_children():
                    process.kill()

        return tell

    monkeypatch.setattr(stage, "_listener", killing)
    with pytest.raises(TransientError, match=r"was killed.*last checkpoint"):
        train.run(killed)
    assert killed.store.exists(killed.name(CHECKPOINT)) and not killed.has(Trained)
    monkeypatch.setattr(stage, "_listener", listener)
    caplog.clear()
    caplog.set_level("INFO", "ml.train")
    train.run(killed)
    epochs = [line for line in caplog.messages if line.startswith("train: epoch")]
    assert epochs[0].startswith(("train: epoch 4/", "train: epoch 5/"))

    one, other = calm.record(Trained), killed.record(Trained)
    assert (one.epochs, one.best_epoch, one.validation_loss) == (other.epochs, other.best_epoch, other.validation_loss)
    with np.load(calm.file(WEIGHTS)) as ours, np.load(killed.file(WEIGHTS)) as theirs:
        assert all(np.array_equal(ours[name], theirs[name]) for name in ours.files)
    assert not killed.store.exists(killed.name(CHECKPOINT))
    assert any(path.name.startswith("events.out.tfevents") for path in killed.file(CURVES).iterdir())
    assert one.export_difference <= 1e-6
    assert one.made_on["cpu"] and one.made_on["threads"] == "1" and len(one.made_on["lock"]) == 64
