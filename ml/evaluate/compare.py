"""The pure core: scores of several models on the same rows become one evaluation."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ml import metrics
from ml.metrics import Floats
from ml.problem import Gate, Success
from ml.records import Evaluated, Interval, Scores
from ml.tables import DAY

MISSING = "missing"


@dataclass(frozen=True)
class Champion:
    """The serving model on the test rows, or why it could not be scored there."""

    version: int
    scores: Floats | None
    problem: str = ""
    threshold: float = 0.5


def compare(
    rows: pa.Table,
    scores: Mapping[str, Floats],
    champion: Champion | None,
    *,
    threshold: float,
    success: Success,
    gate: Gate,
) -> Evaluated:
    """Judge the candidate next to what it wants to replace.

    Args:
        rows: the test part with `_label`, `_day` and the slice columns, n rows.
        scores: `candidate` and every baseline by name, each shape (n,), same order as `rows`.
        threshold: say yes from this score on.
    """
    labels = rows["_label"].to_numpy().astype(np.float64)
    candidate, theirs = scores["candidate"], champion.scores if champion else None
    slices = slices_of(rows, success.slices)
    judged = {name: mask for name, mask in slices.items() if mask.sum() >= gate.slice_rows and len(np.unique(labels[mask])) == 2}
    days = pc.unique(rows[DAY]).to_pylist()

    def gain(other: Floats, mask: Floats | slice = slice(None)) -> Interval:
        return metrics.paired_gain(success.metric, labels[mask], candidate[mask], other[mask], confidence=gate.confidence)

    return Evaluated(
        num_rows=rows.num_rows,
        newest_label=max(days),
        positive_rate=float(labels.mean()),
        candidate=_scores(labels, candidate, judged, success, gate),
        baselines={name: _scores(labels, scores[name], judged, success, gate) for name in success.baselines},
        champion=_scores(labels, theirs, judged, success, gate) if theirs is not None else None,
        champion_version=champion.version if champion else None,
        champion_problem=champion.problem if champion else "",
        gain_over_champion=gain(theirs) if theirs is not None else None,
        gains_over={name: gain(scores[name]) for name in success.baselines},
        slice_gains={name: gain(theirs, mask) for name, mask in judged.items()} if theirs is not None else {},
        slice_rows={name: int(mask.sum()) for name, mask in slices.items()},
        threshold=threshold,
        confusion=metrics.confusion(labels, candidate, threshold),
        flips=int(((candidate >= threshold) != (theirs >= champion.threshold)).sum()) if champion and theirs is not None else 0,
        calibration_error=metrics.calibration_error(labels, candidate),
        days=len(days),
    )


def slices_of(rows: pa.Table, columns: tuple[str, ...]) -> dict[str, Floats]:
    """Boolean masks, shape (n,), one per `column=value`; a missing value is a slice too."""
    masks: dict[str, Any] = {}
    for column in columns:
        values = np.asarray(rows[column].cast(pa.string()).fill_null(MISSING).to_pylist(), dtype=object)
        masks |= {f"{column}={value}": values == value for value in sorted(set(values))}
    return masks


def _scores(labels: Floats, scores: Floats, judged: Mapping[str, Floats], success: Success, gate: Gate) -> Scores:
    whole = {name: metrics.bootstrap(name, labels, scores, confidence=gate.confidence) for name in metrics.METRICS}
    parts = {
        name: metrics.bootstrap(success.metric, labels[mask], scores[mask], confidence=gate.confidence)
        for name, mask in judged.items()
    }
    return Scores(metrics=whole, slices=parts)
