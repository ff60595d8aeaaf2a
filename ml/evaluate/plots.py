"""Pictures of an evaluation, for the version's page: what a reviewer looks at first."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ml.metrics import Floats

SIZE, DPI = (6.0, 4.5), 110  # inches, dots per inch


def write(
    folder: Path, labels: Floats, scores: Mapping[str, Floats], history: Mapping[str, list[float]], threshold: float
) -> None:
    """Write roc.png, calibration.png, scores.png and history.png.

    Args:
        labels: shape (n,), 0 or 1.
        scores: per model, shape (n,); every model appears in the first two plots.
        history: losses per epoch from training.
    """
    folder.mkdir(parents=True)
    _roc(folder / "roc.png", labels, scores)
    _calibration(folder / "calibration.png", labels, scores)
    _histogram(folder / "scores.png", labels, scores["candidate"], threshold)
    _history(folder / "history.png", history)


def _axes(title: str, x: str, y: str) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(SIZE, DPI, layout="constrained")  # no pyplot: no global state, no display
    axes = figure.subplots()
    axes.set(title=title, xlabel=x, ylabel=y)
    axes.grid(alpha=0.3)
    return figure, axes


def _roc(path: Path, labels: Floats, scores: Mapping[str, Floats]) -> None:
    from sklearn.metrics import roc_curve

    figure, axes = _axes("Receiver operating characteristic", "false alarms among negatives", "found among positives")
    for name, values in scores.items():
        false, true, _ = roc_curve(labels, values)
        axes.plot(false, true, label=name)
    axes.plot([0, 1], [0, 1], color="grey", linestyle=":", label="chance")
    axes.legend()
    figure.savefig(path)


def _calibration(path: Path, labels: Floats, scores: Mapping[str, Floats]) -> None:
    figure, axes = _axes("Calibration, ten bins of equal count", "mean predicted probability", "observed share")
    for name, values in scores.items():
        parts = [part for part in np.array_split(np.argsort(values, kind="stable"), 10) if len(part)]
        axes.plot([values[part].mean() for part in parts], [labels[part].mean() for part in parts], marker="o", label=name)
    limit = max(0.05, *(line.get_data()[axis].max() for line in axes.lines for axis in (0, 1))) * 1.05
    axes.plot([0, limit], [0, limit], color="grey", linestyle=":", label="perfect")
    axes.legend()
    figure.savefig(path)


def _histogram(path: Path, labels: Floats, scores: Floats, threshold: float) -> None:
    figure, axes = _axes("Scores of the candidate by label", "predicted probability", "rows")
    bins = np.linspace(0, max(scores.max(), threshold, 1e-6), 40)
    axes.hist([scores[labels == 0], scores[labels == 1]], bins=bins, stacked=True, label=["negative", "positive"])
    axes.axvline(threshold, color="black", linestyle="--", label=f"threshold {threshold:.3f}")
    axes.legend()
    figure.savefig(path)


def _history(path: Path, history: Mapping[str, list[float]]) -> None:
    figure, axes = _axes("Loss while training", "epoch", "loss")
    for name, label in (("loss", "training"), ("val_loss", "validation")):
        axes.plot(range(1, len(history[name]) + 1), history[name], marker=".", label=label)
    axes.legend()
    figure.savefig(path)
