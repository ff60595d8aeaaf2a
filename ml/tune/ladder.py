"""The capacity ladder: grow the network until it overfits, then restrain it to the best validation score.

After Chollet, Deep Learning with Python, chapter 5: a network that cannot overfit may be too small to be right.
"""

from collections.abc import Sequence
from typing import Any

from ml.problem import Training
from ml.tune.search import Plan
from ml.tune.trial import Trial

RUNGS: tuple[tuple[int, ...], ...] = ((4,), (16,), (64,), (64, 64), (256, 128), (512, 256))
RESTRAINTS: tuple[dict[str, Any], ...] = (
    {"dropout": 0.2},
    {"dropout": 0.5},
    {"l1": 1e-5},
    {"l2": 1e-4},
    {"l2": 1e-2},
    {"dropout": 0.3, "l2": 1e-3},
    {"dropout": 0.5, "l2": 1e-2},
)
FREE = {"dropout": 0.0, "l1": 0.0, "l2": 0.0}
OVERFITS = 1.02  # the validation loss has risen by this factor from its best epoch


def plan(done: Sequence[Trial], training: Training) -> Plan:
    """Settings to try, one after the other, ending by themselves.

    Args:
        done: the trials so far; whoever asks adds the answer of each before asking on.
    """
    top = RUNGS[0]
    for top in RUNGS:
        yield FREE | {"layers": list(top), "patience": max(training.patience, 4)}
        if done[-1].overfits(OVERFITS):
            break
    half = [max(2, units // 2) for units in top]
    for layers in (list(top), half):
        for restraint in RESTRAINTS:
            yield FREE | {"layers": layers} | restraint
