"""Pictures of an evaluation, for the version's page: what a reviewer looks at first."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ml import metrics
from ml.evaluate.models import CANDIDATE, CHAMPION, Judged
from ml.metrics import Floats
from ml.records import Evaluated, Interval

SIZE, DPI = (6.0, 4.5), 110  # inches, dots per inch
MOST = 20  # bars of a picture
POINTS = 3_000  # of a scatter
History = Mapping[str, list[float]]


def write(folder: Path, judged: Judged, evaluated: Evaluated, history: History) -> None:
    """Write the pictures that fit the task, as PNG.

    Of yes or no: roc, scores (binary), costs (binary); of classes: confusion; of numbers: answers, errors. Of all: calibration,
    history, and features, slices where there are any.

    Args:
        history: losses per epoch from training.
    """
    folder.mkdir(parents=True)
    for name, figure in (*_of_task(judged, evaluated), *_of_all(judged, evaluated, history)):
        figure.savefig(folder / f"{name}.png")


def _of_task(judged: Judged, evaluated: Evaluated) -> Iterator[tuple[str, Any]]:
    labels, candidate = judged.labels, judged.scores[CANDIDATE]
    if judged.problem.task.decides:
        yield "roc", _roc(judged)
    if judged.problem.problem.task == "binary":
        yield "scores", _histogram(labels, candidate, evaluated.threshold)
        yield "costs", _costs(judged, evaluated)
    if judged.problem.problem.task == "multiclass":
        yield "confusion", _confusion(labels, candidate, judged.problem.outputs)
    if judged.problem.task.label == "number":
        yield "answers", _answers(judged)
        yield "errors", _errors(judged)


def _of_all(judged: Judged, evaluated: Evaluated, history: History) -> Iterator[tuple[str, Any]]:
    yield "calibration", _calibration(judged)
    if history.get("loss"):
        yield "history", _history(history)
    metric = judged.problem.success.metric
    if evaluated.effects:
        title = f"Loss of {metric} when a feature's values are dealt out anew"
        yield "features", _bars(title, metric, [(one.feature, one.shuffled, None) for one in evaluated.effects[:MOST]])
    slices, gains = evaluated.candidate.slices, evaluated.slice_gains
    if gains:
        worst = sorted(gains, key=lambda name: gains[name].value)[:MOST]
        yield (
            "slices",
            _bars(f"Gain in {metric} over the champion per slice", metric, [_bar(name, gains[name]) for name in worst]),
        )
    elif slices:
        weakest = sorted(slices, key=lambda name: metrics.better(metric) * slices[name].value)[:MOST]
        yield "slices", _bars(f"The weakest slices by {metric}", metric, [_bar(name, slices[name]) for name in weakest])


def _axes(title: str, x: str, y: str) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(SIZE, DPI, layout="constrained")  # no pyplot: no global state, no display
    axes = figure.subplots()
    axes.set(title=title, xlabel=x, ylabel=y)
    axes.grid(alpha=0.3)
    return figure, axes


def _columns(values: Floats) -> Floats:
    return values.reshape(len(values), -1)


def _roc(judged: Judged) -> Any:
    """Every model of one output; of several outputs the candidate on each."""
    from sklearn.metrics import roc_curve

    figure, axes = _axes("Receiver operating characteristic", "false alarms among negatives", "found among positives")
    names, labels = judged.problem.outputs, _columns(judged.labels)
    ours = dict(zip(names, _columns(judged.scores[CANDIDATE]).T, strict=True))
    for place, (name, values) in enumerate(ours.items() if len(names) > 1 else judged.models.items()):
        real = labels[:, place if len(names) > 1 else 0]
        if np.ptp(real) > 0:
            false, true, _ = roc_curve(real, values)
            axes.plot(false, true, label=name)
    axes.plot([0, 1], [0, 1], color="grey", linestyle=":", label="chance")
    axes.legend()
    return figure


def _calibration(judged: Judged) -> Any:
    """Every model; several outputs of it together."""
    numbers = judged.problem.task.label == "number"
    x, y = ("mean answer", "mean of the label") if numbers else ("mean predicted probability", "observed share")
    figure, axes = _axes("Calibration, ten bins of equal count", x, y)
    for name, values in judged.models.items():
        said, seen, _ = zip(*metrics.calibration_bins(judged.labels.ravel(), values.ravel()), strict=True)
        axes.plot(said, seen, marker="o", label=name)
    ends = [value for line in axes.lines for axis in (0, 1) for value in line.get_data()[axis]]
    limits = [min(ends), max(ends)] if numbers else [0, max(0.05, *ends) * 1.05]
    axes.plot(limits, limits, color="grey", linestyle=":", label="perfect")
    axes.legend()
    return figure


def _histogram(labels: Floats, scores: Floats, threshold: float) -> Any:
    figure, axes = _axes("Scores of the candidate by label", "predicted probability", "rows")
    bins = np.linspace(0, max(scores.max(), min(threshold, 1.0), 1e-6), 40)
    axes.hist([scores[labels == 0], scores[labels == 1]], bins=bins, stacked=True, label=["negative", "positive"])
    axes.axvline(threshold, color="black", linestyle="--", label=f"threshold {threshold:.3f}")
    axes.legend()
    return figure


def _costs(judged: Judged, evaluated: Evaluated) -> Any:
    cost = judged.problem.success.cost.model_dump()
    figure, axes = _axes("What deciding costs, by threshold", "say yes from this probability on", "cost per row")
    for name in (CANDIDATE, CHAMPION):
        if name in judged.models:
            axes.plot(*metrics.cost_curve(judged.labels, judged.models[name], **cost), label=name)
    axes.axvline(evaluated.threshold, color="black", linestyle="--", label=f"chosen {evaluated.threshold:.3f}")
    if evaluated.cheapest is not None:
        axes.axvline(evaluated.cheapest, color="grey", linestyle=":", label=f"cheapest here {evaluated.cheapest:.3f}")
    axes.legend()
    return figure


def _confusion(labels: Floats, scores: Floats, names: tuple[str, ...]) -> Any:
    table = np.zeros((len(names), len(names)), dtype=int)
    np.add.at(table, (labels.argmax(axis=1), scores.argmax(axis=1)), 1)
    figure, axes = _axes("Rows by class and answer", "answer of the candidate", "class")
    axes.grid(visible=False)
    axes.imshow(table / np.maximum(table.sum(axis=1, keepdims=True), 1), cmap="Blues", vmin=0, vmax=1)
    axes.set(xticks=range(len(names)), yticks=range(len(names)), xticklabels=names, yticklabels=names)
    if len(names) <= MOST:
        for (row, column), count in np.ndenumerate(table):
            axes.text(column, row, f"{count:,}", ha="center", va="center")
    return figure


def _answers(judged: Judged) -> Any:
    figure, axes = _axes("Answers of the candidate and what came", "answer", "label")
    chosen = np.random.default_rng(0).permutation(judged.rows.num_rows)[:POINTS]
    labels, scores = _columns(judged.labels)[chosen], _columns(judged.scores[CANDIDATE])[chosen]
    for place, name in enumerate(judged.problem.outputs):
        axes.scatter(scores[:, place], labels[:, place], s=5, alpha=0.4, label=name)
    ends = [min(scores.min(), labels.min()), max(scores.max(), labels.max())]
    axes.plot(ends, ends, color="grey", linestyle=":", label="perfect")
    axes.legend()
    return figure


def _errors(judged: Judged) -> Any:
    figure, axes = _axes("How far answers are off", "answer less label", "rows")
    errors = _columns(judged.scores[CANDIDATE] - judged.labels)
    low, high = np.quantile(errors, [0.005, 0.995])
    axes.hist(list(np.clip(errors, low, high).T), bins=40, label=list(judged.problem.outputs))
    axes.axvline(0, color="black", linestyle="--")
    axes.legend()
    return figure


def _history(history: History) -> Any:
    figure, axes = _axes("Loss while training", "epoch", "loss")
    for name, label in (("loss", "training"), ("val_loss", "validation")):
        if history.get(name):
            axes.plot(range(1, len(history[name]) + 1), history[name], marker=".", label=label)
    axes.legend()
    return figure


def _bar(name: str, found: Interval) -> tuple[str, float, float | None]:
    return name, found.value, None if np.isnan(found.high) else found.high - found.value


def _bars(title: str, metric: str, bars: list[tuple[str, float, float | None]]) -> Any:
    """Horizontal bars, the first on top, with intervals where they are known."""
    figure, axes = _axes(title, metric, "")
    names, values, halves = zip(*bars, strict=True)
    short = [name if len(name) <= 30 else name[:29] + "…" for name in names]
    axes.barh(range(len(short)), values, xerr=[half or 0.0 for half in halves], alpha=0.7)
    axes.set_yticks(range(len(short)), short)
    axes.invert_yaxis()
    axes.axvline(0, color="black", linewidth=0.8)
    return figure
