"""The stage on a real night of flights: killed in the middle and run again, it ends as if nothing had happened."""

import multiprocessing

import numpy as np
import pytest

from ml import ingest, prepare, train, validate
from ml.context import Context, open_run
from ml.errors import TransientError
from ml.records import Prepared, Trained
from ml.snapshot import CHECKPOINTS, CURVES, HISTORY, WEIGHTS
from ml.train import stage


def prepared(run_key: str) -> Context:
    context = open_run("flights", run_key)
    changes = context.problem.training.model_copy(update={"checkpoint_seconds": 0.0})
    context = Context(context.problem.model_copy(update={"training": changes}), context.settings, run_key)
    for one in (ingest, validate, prepare):
        one.run(context)
    return context


FITS = [pytest.param(True, id="in the fit that is stopped"), pytest.param(False, id="in the last", marks=pytest.mark.slow)]


@pytest.mark.parametrize("judged", FITS)
def test_a_killed_training_goes_on_from_the_store(judged, home, monkeypatch, caplog):
    calm = prepared("calm")
    train.run(calm)
    one = calm.record(Trained)
    assert any(path.name.startswith("events.out.tfevents") for path in calm.file(CURVES).iterdir())
    assert one.export_difference <= 1e-6
    assert one.made_on["cpu"] and one.made_on["threads"] == "1" and len(one.made_on["lock"]) == 64
    assert len(calm.store.read_json(calm.name(HISTORY))["refit_loss"]) == one.best_epoch
    parts = calm.record(Prepared)
    in_all = parts.train.num_rows + parts.validation.num_rows
    assert one.row_epochs == parts.train.num_rows * one.epochs + in_all * one.best_epoch
    assert one.cpu_seconds is not None and one.cpu_seconds > 0
    assert one.protocol is not None and one.protocol.metric == "auc" and one.protocol.epochs == (one.best_epoch,)
    assert 0.6 < one.protocol.value < 0.9 and len(one.protocol.left_out) > 2
    assert one.protocol.deviation is not None and 0.001 < one.protocol.deviation < 0.1

    killed = prepared("killed")  # in the fit that the validation part stops, or in the one that learns from it too
    epochs = after_a_kill(killed, judged, monkeypatch, caplog)
    again = [epoch for epoch, theirs in epochs if theirs == judged]
    assert again[0] in (4, 5)
    other = killed.record(Trained)
    assert (one.epochs, one.best_epoch, one.validation_loss) == (other.epochs, other.best_epoch, other.validation_loss)
    assert other.row_epochs == one.row_epochs and other.cpu_seconds is not None
    with np.load(calm.file(WEIGHTS)) as ours, np.load(killed.file(WEIGHTS)) as theirs:
        assert all(np.array_equal(ours[name], theirs[name]) for name in ours.files)
    assert not any(killed.store.exists(killed.name(name)) for name in CHECKPOINTS)
    assert judged or not any(theirs for _, theirs in epochs)  # the first fit was over when the second was killed


def after_a_kill(context, judged: bool, monkeypatch, caplog) -> list[tuple[int, bool]]:
    """Kill the training in the fourth epoch of one of its fits, run it again; the epochs of the second try."""
    listener = stage._listener

    def killing(*given):
        told = listener(*given)

        def tell(content):
            told(content)
            if content.get("epoch") == 4 and ("validation_loss" in content) == judged:
                for process in multiprocessing.active_children():
                    process.kill()

        return tell

    with monkeypatch.context() as patch:
        patch.setattr(stage, "_listener", killing)
        with pytest.raises(TransientError, match=r"was killed.*kept last"):
            train.run(context)
    assert context.store.exists(context.name(CHECKPOINTS[not judged])) and not context.has(Trained)
    caplog.clear()
    caplog.set_level("INFO", "ml.train")
    train.run(context)
    lines = [line for line in caplog.messages if line.startswith("train: epoch")]
    return [(int(line.split()[2].partition("/")[0]), "validation loss" in line) for line in lines]
