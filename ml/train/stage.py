"""The stage: fit, choose the threshold, export, prove that the export answers alike, score the baselines."""

import logging
import time
from typing import Any

import numpy as np

from ml import features, metrics, snapshot
from ml.context import Context
from ml.errors import DataError
from ml.features import encoder
from ml.records import Prepared, Trained
from ml.scoring import Scorer
from ml.snapshot import ENCODING, HISTORY, MODEL, PROGRESS
from ml.store import digest
from ml.train import baselines, export, fit

log = logging.getLogger(__name__)
EXPORT_TOLERANCE = 1e-5
EXPORT_ROWS = 10_000


def run(context: Context) -> Trained:
    """Train on the frozen rows of the run.

    Raises: DataError: the loss is not finite, or the exported model answers differently.
    """
    prepared = context.record(Prepared)
    about = context.problem
    inputs = [
        prepared.rows_digest,
        digest(context.file(ENCODING)),
        about.training.model_dump(),
        about.success.model_dump(),
        about.problem.task,
    ]
    return context.once(Trained, inputs, lambda: _train(context, prepared.rows_digest))


def _train(context: Context, rows_digest: str) -> Trained:
    snapshot.refuse_to_replace(context)
    started = time.monotonic()
    about, encoding = context.problem, snapshot.encoding_of(context)
    train, validation, test = (snapshot.arrays_of(context, part) for part in snapshot.PARTS)
    sizes = encoder.sizes(encoding)

    def progress(told: dict[str, float]) -> None:
        context.store.write_json(context.name(PROGRESS), told)
        log.info("train: epoch %(epoch)d/%(epochs)d loss %(loss).4f validation loss %(validation_loss).4f", told)

    fitted = fit.fit(train, validation, sizes=sizes, task=about.problem.task, training=about.training, progress=progress)
    context.store.write_json(context.name(HISTORY), fitted.history)
    cost = about.success.cost
    threshold = metrics.cheapest_threshold(
        validation["label"].astype(np.float64),
        fit.predict(fitted.model, validation),
        false_positive=cost.false_positive,
        false_negative=cost.false_negative,
    )
    difference = _export(context, fitted, test, threshold)
    baselines.write(context, sizes)
    return Trained(
        model_digest=digest(context.file(MODEL)),
        rows_digest=rows_digest,
        num_parameters=fitted.model.count_params(),
        epochs=len(fitted.history["loss"]),
        best_epoch=fitted.best_epoch,
        validation_loss=min(fitted.history["val_loss"]),
        export_difference=difference,
        seconds=round(time.monotonic() - started, 2),
    )


def _export(context: Context, fitted: fit.Fitted, test: fit.Arrays, threshold: float) -> float:
    """Write the model folder; returns the largest difference between its scores on raw rows and the network's own."""
    rows, expected = snapshot.rows_of(context, "test").slice(0, EXPORT_ROWS), fit.predict(fitted.model, test)[:EXPORT_ROWS]
    about: dict[str, Any] = {
        "problem": context.problem.name,
        "run_key": context.run_key,
        "task": context.problem.problem.task,
        "outputs": list(context.problem.outputs),
        "thresholds": [threshold],
        "redact": context.problem.privacy.redact,  # what its rows went through, so that the service does the same
    }
    encoding = snapshot.encoding_of(context)
    example = export.typical(encoding)
    raw = features.inputs(example, encoding.features, timezone=encoding.timezone)
    with context.store.replacing(context.name(MODEL)) as folder:
        export.write(folder, fitted.model, encoding, about=about)
        export.write_example(folder, example, fit.predict(fitted.model, encoder.encode(encoder.build(encoding), raw)))
        difference = float(np.abs(Scorer.load(folder).score(rows) - expected).max())
        if not difference <= EXPORT_TOLERANCE:
            raise DataError(
                f"The exported model differs from the trained one by {difference:.2e} on raw rows (allowed "
                f"{EXPORT_TOLERANCE:.0e}). Encoding while training and inside the model must be the same code."
            )
    return difference
