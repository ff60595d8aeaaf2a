"""What callers would notice: answers that differ, decisions that flip, rows that are refused. Pure."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ml.records import Difference
from ml.requests import Logged

Answer = dict[str, Any]
Floats = npt.NDArray[np.float64]
MOST_CHANGES = 10
MOST_ROWS = 20  # that are kept to be looked at


def answered(*models: Sequence[Answer | str]) -> list[int]:
    """Places of the rows that every model answers."""
    return [place for place, said in enumerate(zip(*models, strict=True)) if all(isinstance(one, dict) for one in said)]


def of(places: Sequence[int], *models: Sequence[Answer | str]) -> list[list[Answer]]:
    """The answers of each model at places where it answers."""
    return [[one for place in places if isinstance(one := model[place], dict)] for model in models]


def refused(candidate: Sequence[Answer | str], champion: Sequence[Answer | str] | None) -> list[str]:
    """Why rows are refused that the champion answers; without a champion, every refusal."""
    others: Sequence[Answer | str] = champion if champion is not None else [{}] * len(candidate)
    return [said for said, was in zip(candidate, others, strict=True) if isinstance(said, str) and isinstance(was, dict)]


def difference(candidate: Sequence[Answer], champion: Sequence[Answer]) -> Difference:
    """Candidate less champion.

    Args:
        candidate, champion: answers to the same rows, at least one.
    """
    moved = gaps(candidate, champion)
    sizes = np.abs(moved)
    decides = any(said["decision"] is not None for said in candidate)
    pairs = [(_told(said), _told(was)) for said, was in zip(candidate, champion, strict=True)] if decides else []
    changes = Counter(f"from {was} to {said}" for said, was in pairs if said != was)
    return Difference(
        num_rows=len(candidate),
        mean=float(moved.mean()),
        absolute=float(sizes.mean()),
        p99=float(np.quantile(sizes, 0.99)),
        largest=float(sizes.max()),
        flips=changes.total() if decides else None,
        changes=dict(changes.most_common(MOST_CHANGES)),
    )


def gaps(candidate: Sequence[Answer], champion: Sequence[Answer]) -> Floats:
    """Candidate less champion, row by row, shape (n,); of several outputs the one that differs most, with its sign."""
    moved = np.asarray(list(map(_scores, candidate))) - np.asarray(list(map(_scores, champion)))
    return np.asarray(np.take_along_axis(moved, np.abs(moved).argmax(axis=1)[:, None], axis=1)[:, 0])


def widest(candidate: Sequence[Answer], champion: Sequence[Answer]) -> list[int]:
    """Places of the rows to look at: flips first, then the largest differences."""
    if not candidate:
        return []
    flips = [said["decision"] != was["decision"] for said, was in zip(candidate, champion, strict=True)]
    sizes = np.abs(gaps(candidate, champion))
    order = sorted(range(len(candidate)), key=lambda place: (not flips[place], -sizes[place]))
    return [place for place in order if flips[place] or sizes[place] > 0][:MOST_ROWS]


def unlike_log(champion: Sequence[Answer | str], logged: Sequence[Logged], version: int | None) -> float | None:
    """How far the champion's answers are from those that it gave then; None when none of the rows were answered by it.

    Args:
        logged: of the same rows; empty for rows that are from elsewhere.
    """
    pairs = [
        (now, then.answer)
        for now, then in zip(champion, logged, strict=bool(logged))
        if then.version == version and isinstance(now, dict) and len(_scores(now)) == len(_scores(then.answer))
    ]
    if not pairs:
        return None
    return float(np.abs(gaps([now for now, _ in pairs], [then for _, then in pairs])).max())


def _scores(said: Answer) -> list[float]:
    return list(said["scores"].values()) if "scores" in said else [said["score"]]


def _told(said: Answer) -> str:
    decision = said["decision"]
    if isinstance(decision, bool):
        return "yes" if decision else "no"
    return " and ".join(decision) or "none" if isinstance(decision, list) else str(decision)
