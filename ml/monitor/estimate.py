"""Quality without labels: what the answers would be worth if scores still meant what they meant in the evaluation.

Probabilities: the expected metric under calibrated scores (confidence-based estimation: Guillory et al. 2021, ICCV; NannyML's
CBPE). Numbers: the loss of every answer, predicted from what was asked (direct loss estimation). Both know shifts of what is
asked, and neither can see that the same questions now have other answers: that takes labels.

How wrong such an estimate is on a day is measured, not assumed: the days of the evaluation are estimated in turn by what the
other days teach, and the differences to their truth make the interval for a new day.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ml import drift, metrics
from ml.metrics import FEWEST_DAYS, Floats, Weights
from ml.metrics.quality import find
from ml.monitor.evidence import Evidence, Truth
from ml.monitor.finding import chance, too_few, unknown
from ml.monitor.promise import around
from ml.problem import Problem
from ml.records import DriftFinding, Interval

FOLDS = 7  # of whole days; more say the same and cost more
FEWEST = 50  # rows that a day of the evaluation needs to be estimated by itself
ROUNDS, LEAVES = 60, 8  # of the regression of losses: small, for it learns from few thousand rows
Rows = npt.NDArray[Any]


@dataclass(frozen=True)
class Side:
    """Answers: `scores` (n,) or (n, k), and for numbers `asked`, the cells of what was asked, shape (n, columns)."""

    scores: Floats
    asked: npt.NDArray[np.int64]

    def only(self, rows: Rows) -> "Side":
        """Some of them."""
        return Side(self.scores[rows], self.asked[rows])


@dataclass(frozen=True)
class Estimate:
    """The metric to expect of the served answers, with an interval for their truth, and what it was on the evaluation's days."""

    quality: Interval
    usual: float
    p_value: float  # of the estimate being worse than those of the evaluation's days by chance
    probabilities: Floats | None  # of the served answers, calibrated; None for numbers


Learned = Callable[[Side], float]
Learn = Callable[[Side, Floats], Learned]


def estimate(served: Side, tested: Side, truth: Truth, problem: Problem) -> Estimate | None:
    """The success metric of answers whose labels are unknown; None where the evaluation has fewer than five days to learn from.

    Args:
        tested: the evaluation's answers, in the same cells as those served.
        truth: the same answers' labels and days.
    """
    name, learn = problem.success.metric, _learn(problem)
    estimated, true = _by_day(tested, truth, name, learn)
    if len(true) < FEWEST_DAYS:
        return None
    widened = math.sqrt(1 / problem.drift.window_days + 1 / len(true))
    value = learn(tested, truth.labels)(served) + float((true - estimated).mean())
    error = float((true - estimated).std(ddof=1)) * widened
    quality = around(value, error, len(true) - 1, name, problem.gate.confidence)
    # The truth of a day varies with its labels, which an estimate does not: it is held against estimates of other days.
    usual, spread = float(true.mean()), float(estimated.std(ddof=1)) * widened
    among = Interval(value=value, low=value, high=value, error=spread, freedom=len(true) - 1)
    p_value = metrics.doubt(among, usual, above=metrics.better(name) < 0)
    numbers = problem.task.label == "number"
    probabilities = None if numbers else calibrate(tested.scores, truth.labels)(served.scores)
    return Estimate(quality, usual, p_value, probabilities)


def sides(evidence: Evidence, problem: Problem) -> tuple[Side, Side] | None:
    """Served and tested answers; None where the evaluation kept no days."""
    tested = evidence.reference.tested
    if tested is None or len(tested.scores) == 0:
        return None
    names = [
        name
        for name in problem.features
        if name in tested.columns and len(evidence.columns.get(name, ())) == len(evidence.scores)
    ]
    cut = [
        drift.cells(tested.columns[name], evidence.columns[name], problem.features[name], timezone=problem.source.timezone)
        for name in names
    ]
    served = np.column_stack([one.current for one in cut]) if cut else np.zeros((len(evidence.scores), 0), np.int64)
    learned = np.column_stack([one.reference for one in cut]) if cut else np.zeros((len(tested.scores), 0), np.int64)
    return Side(evidence.scores, served), Side(tested.scores, learned)


def of_answers(evidence: Evidence, problem: Problem) -> tuple[list[DriftFinding], Estimate | None]:
    """The estimate against a usual day of the evaluation, as a finding."""
    name, policy = problem.success.metric, problem.drift
    if evidence.num_requests < policy.minimum_rows:
        return [unknown("estimate", name, too_few(evidence.num_requests, "requests", policy))], None
    both = sides(evidence, problem)
    tested = evidence.reference.tested
    if both is None or tested is None or (found := estimate(*both, tested, problem)) is None:
        why = f"the evaluation has fewer than {FEWEST_DAYS} days with {FEWEST} rows: how far an estimate is off is unknown"
        return [unknown("estimate", name, why)], None
    return [_finding(found, problem)], found


def calibrate(scores: Floats, labels: Floats) -> Callable[[Floats], Floats]:
    """Scores to probabilities, learned from answers with labels: isotonic regression per output; classes add up to one again."""
    from sklearn.isotonic import IsotonicRegression

    pairs = zip(scores.reshape(len(scores), -1).T, labels.reshape(len(labels), -1).T, strict=True)
    fits = [IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(score, label) for score, label in pairs]
    classes = labels.ndim == 2 and bool((labels.sum(axis=1) == 1).all())

    def probabilities(fresh: Floats) -> Floats:
        found = np.stack([fit.predict(one) for fit, one in zip(fits, fresh.reshape(len(fresh), -1).T, strict=True)], axis=1)
        if classes:
            found = (found + 1e-9) / (found + 1e-9).sum(axis=1, keepdims=True)
        return np.asarray(found.reshape(fresh.shape), np.float64)

    return probabilities


def expected(name: str, probabilities: Floats, scores: Floats, *, classes: bool) -> float:
    """A metric as it is to be expected: every row counts as each of its possible labels, weighted by how likely that is.

    Args:
        probabilities: shape (n,) or (n, k), of a yes.
        classes: whether the outputs are classes, of which one is true, or each a yes or no of its own.
    """
    if classes:
        width = probabilities.shape[1]
        labels = np.repeat(np.eye(width), len(scores), axis=0)
        weights = Weights.of_rows(probabilities.T.reshape(1, -1))
        return float(find(name)(labels, np.tile(scores, (width, 1)), weights)[0])
    if probabilities.ndim == 2:
        pairs = zip(probabilities.T, scores.T, strict=True)
        return float(np.nanmean([expected(name, one, other, classes=False) for one, other in pairs]))
    labels = np.repeat([1.0, 0.0], len(scores))
    weights = Weights.of_rows(np.concatenate([probabilities, 1 - probabilities])[None, :])
    return float(find(name)(labels, np.tile(scores, 2), weights)[0])


def _learn(problem: Problem) -> Learn:
    name, classes = problem.success.metric, problem.problem.task == "multiclass"
    if problem.task.label == "number":
        return _losses(name)

    def learn(side: Side, labels: Floats) -> Learned:
        probabilities = calibrate(side.scores, labels)
        return lambda fresh: expected(name, probabilities(fresh.scores), fresh.scores, classes=classes)

    return learn


def _losses(name: str) -> Learn:
    """Absolute or squared error of numbers, as a function of what was asked and answered."""

    def learn(side: Side, labels: Floats) -> Learned:
        from sklearn.ensemble import HistGradientBoostingRegressor
        from threadpoolctl import threadpool_limits

        errors = np.abs(side.scores - labels)
        loss = (errors if name == "mae" else errors**2).reshape(len(labels), -1).mean(axis=1)
        with threadpool_limits(1):  # its loops wait actively for each other on a busy machine
            model = HistGradientBoostingRegressor(max_iter=ROUNDS, max_leaf_nodes=LEAVES, early_stopping=False, random_state=0)
            model.fit(_inputs(side), loss)

        def learned(fresh: Side) -> float:
            with threadpool_limits(1):
                mean = max(float(model.predict(_inputs(fresh)).mean()), 0.0)
            varied = float(np.mean(fresh.scores.var(axis=0))) + mean  # of labels around answers that are right on average
            return {"mae": mean, "rmse": math.sqrt(mean), "r2": 1 - mean / varied if varied else math.nan}[name]

        return learned

    return learn


def _inputs(side: Side) -> Floats:
    return np.column_stack([side.scores.reshape(len(side.scores), -1), side.asked])


def _by_day(tested: Side, truth: Truth, name: str, learn: Learn) -> tuple[Floats, Floats]:
    """Estimate of each day of the evaluation as other days teach it, and its truth; shapes (days,)."""
    names, places = np.unique(truth.days, return_inverse=True)
    estimated, true = [], []
    for fold in range(min(FOLDS, len(names))):
        inside = places % FOLDS == fold
        if inside.all() or (np.ptp(truth.labels[~inside], axis=0) == 0).any():
            continue
        learned = learn(tested.only(~inside), truth.labels[~inside])
        for day in range(fold, len(names), FOLDS):
            rows = places == day
            value = metrics.metric(name, truth.labels[rows], tested.scores[rows])
            if rows.sum() >= FEWEST and not math.isnan(value):
                estimated.append(learned(tested.only(rows)))
                true.append(value)
    return np.array(estimated), np.array(true)


def _finding(found: Estimate, problem: Problem) -> DriftFinding:
    name, policy, quality = problem.success.metric, problem.drift, found.quality
    sign = metrics.better(name)
    limit = found.usual - sign * policy.quality_drop
    drifted = sign * (found.usual - quality.value) > policy.quality_drop and found.p_value < policy.level
    return DriftFinding(
        kind="estimate",
        subject=name,
        drifted=drifted,
        value=quality.value,
        limit=limit,
        p_value=found.p_value,
        sentence=f"{name} of the answers without labels is estimated at {quality.value:.3f} [{quality.low:.3f}, "
        f"{quality.high:.3f}], on days of the evaluation it was {found.usual:.3f}, limit {limit:.3f}, {chance(found.p_value)}",
    )
