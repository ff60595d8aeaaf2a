"""All that the card tells of a run."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ml.problem import Problem
from ml.records import Evaluated, Prepared, Rehearsed, Trained, Verdict


@dataclass(frozen=True)
class Facts:
    """What the stages before found out, and where a reviewer may want to look next."""

    problem: Problem
    run_key: str
    prepared: Prepared
    trained: Trained
    evaluated: Evaluated
    verdict: Verdict
    links: Mapping[str, str] = field(default_factory=dict)
    pictures: Mapping[str, str] = field(default_factory=dict)  # plots by name, and where a browser finds them
    rehearsed: Rehearsed | None = None
