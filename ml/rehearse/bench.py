"""How long answers take: candidate and champion in turns on the same rows, so that a busy machine is busy for both."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ml.alone import Alone
from ml.records import Growth, Performance

Floats = npt.NDArray[np.float64]
TURNS = 21
TURN_S = 0.025  # of answers to single rows, per model and turn
ENOUGH_TURNS, ENOUGH_S = 9, 4.0  # where answers are slow, fewer turns must do
FEWEST, MOST = 3, 200  # answers to single rows in a turn
BATCH_ROWS, BATCHES = 64, 2
WARM = 5
STARTS, ALIKE = 5, 1.5  # cold starts at most of each model, and how many times the champion's needs no second look
CHANCE = 0.01  # of calling a ratio larger than it is
TIMED = ("row_ms", "row_p99_ms", "batch_ms")
ONCE = ("memory_mb", "start_s")


@dataclass(frozen=True)
class Turns:
    """Milliseconds per turn of one model, each of shape (turns,)."""

    row_ms: Floats
    row_p99_ms: Floats
    batch_ms: Floats


def measure(models: Mapping[str, Alone], num_rows: int) -> dict[str, Turns]:
    """Time every model in every turn; who begins changes from turn to turn.

    Args:
        models: each keeps the same `num_rows` rows.
    """
    batches = [place * BATCH_ROWS % num_rows for place in range(BATCHES)]
    size = _answers_a_turn(models, num_rows)
    rows: dict[str, list[list[float]]] = {name: [] for name in models}
    several: dict[str, list[list[float]]] = {name: [] for name in models}
    began = time.monotonic()
    for turn in range(TURNS):
        if turn >= ENOUGH_TURNS and time.monotonic() - began > ENOUGH_S:
            break
        starts = [(turn * size + place) % num_rows for place in range(size)]
        for name in list(models) if turn % 2 else reversed(list(models)):
            rows[name].append(models[name].time(1, starts))
            several[name].append(models[name].time(BATCH_ROWS, batches))
    return {
        name: Turns(np.median(rows[name], axis=1), np.quantile(rows[name], 0.99, axis=1), np.median(several[name], axis=1))
        for name in models
    }


def quickest(candidate: float, champion: float, again: Callable[[], tuple[float, float]]) -> tuple[float, float]:
    """Seconds of cold starts of candidate and champion: the quickest of each, with more of both while the candidate looks slower.

    A start is too long to take turns within one, and other work on the machine only ever adds to it: under a load of nine on two
    cores starts of LiteRT models took 1.2 to 5.4 s.

    Args:
        again: starts both once more, one after the other.
    """
    for _ in range(STARTS - 1):
        if candidate <= ALIKE * champion:
            break
        mine, theirs = again()
        candidate, champion = min(candidate, mine), min(champion, theirs)
    return candidate, champion


def performance(model: Alone, turns: Turns, size_mb: float, start_s: float) -> Performance:
    """What was measured of one model."""
    timed = {name: float(np.median(getattr(turns, name))) for name in TIMED}
    return Performance(core=model.core, start_s=start_s, memory_mb=model.memory_mb(), size_mb=size_mb, **timed)


def growth(candidate: Performance, champion: Performance, mine: Turns, theirs: Turns) -> tuple[Growth, ...]:
    """How many times as much the candidate takes, measure by measure."""
    timed = {name: getattr(mine, name) / getattr(theirs, name) for name in TIMED}
    once = {name: np.asarray([getattr(candidate, name) / getattr(champion, name)]) for name in ONCE}
    return tuple(
        Growth(
            measure=name,
            candidate=getattr(candidate, name),
            champion=getattr(champion, name),
            times=float(np.median(ratios)),
            at_least=surely_above(ratios) if name in TIMED else float(ratios[0]),
        )
        for name, ratios in (timed | once).items()
    )


def surely_above(ratios: Sequence[float] | Floats, chance: float = CHANCE) -> float:
    """A number that the true median exceeds, but for a `chance`; 0 where there are too few ratios to know.

    The k-th smallest of n: it lies above the median only when fewer than k of n fell below, with probability
    P(Bin(n, 1/2) < k). Source: Conover, Practical Nonparametric Statistics (1999), 3.2, confidence limits of quantiles.
    No distribution is assumed, so one turn in which the machine was busy with other work decides nothing.
    """
    n, total, k = len(ratios), 0.0, 0
    while (total := total + math.comb(n, k) / 2**n) <= chance:
        k += 1
    return float(np.sort(np.asarray(ratios))[k - 1]) if k else 0.0


def _answers_a_turn(models: Mapping[str, Alone], num_rows: int) -> int:
    """As many as the slowest model gives in its time; the first answers, which are slower, warm it up."""
    starts = [place % num_rows for place in range(WARM)]
    slowest = max(float(np.median(model.time(1, starts))) for model in models.values())
    for model in models.values():
        model.time(BATCH_ROWS, [0])
    return int(np.clip(1000 * TURN_S / max(slowest, 1e-6), FEWEST, MOST))
