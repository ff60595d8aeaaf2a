"""What every finding is told with."""

from typing import Literal

from ml.drift import Floats
from ml.problem import Drift, Problem
from ml.records import DriftFinding

Kind = Literal["schema", "data", "prediction", "estimate", "hurting", "concept", "skew"]
KINDS: tuple[Kind, ...] = ("data", "prediction", "estimate", "hurting", "concept", "schema", "skew")
SCORE = "score"


def outputs(scores: Floats, problem: Problem) -> dict[str, Floats]:
    """Scores by name, each shape (n,): `score`, or `score of NAME` where there are several."""
    if scores.ndim == 1:
        return {SCORE: scores}
    return {f"{SCORE} of {name}": scores[:, place] for place, name in enumerate(problem.outputs)}


def unknown(kind: Kind, subject: str, why: str) -> DriftFinding:
    """Not assessable, and why."""
    return DriftFinding(kind=kind, subject=subject, drifted=None, value=None, limit=None, p_value=None, sentence=why)


def too_few(number: int, what: str, policy: Drift) -> str:
    """Why so few rows say nothing."""
    return f"{number} {what}, fewer than [drift] minimum_rows = {policy.minimum_rows}"


def chance(p_value: float) -> str:
    """A p-value in words."""
    return "p < 0.0001" if p_value < 0.0001 else f"p = {p_value:.4f}"
