"""Which rows are most worth a label: pure.

Every reason ranks the rows; they are taken in turn from the top of each list, so no weights between reasons are needed. Apart
from these, chance draws an audit sample from all others. So every row's probability of being asked about is known, which is
what an unbiased estimate of quality needs (`audit`).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Floats = npt.NDArray[np.float64]
AUDIT = "by chance"


@dataclass(frozen=True)
class Chosen:
    """A row by its place, why it is asked about, and how probable that was."""

    place: int
    why: str
    probability: float


def choose(reasons: Mapping[str, Floats], size: int, *, num: int, audit_share: float, seed: int) -> list[Chosen]:
    """Choose rows: by reasons in turn, and a share of them by chance among those that are left.

    Args:
        reasons: what speaks for each row, shape (size,); 0 or less: nothing does.
        size: number of rows.
        num: how many to choose; all when there are no more.
    """
    num_audit = min(num, max(1, round(num * audit_share))) if num else 0
    told = _in_turn(reasons, num - num_audit) if size > num else dict.fromkeys(range(size), "all are asked about")
    left = np.setdiff1d(np.arange(size), list(told))
    drawn = np.random.default_rng(seed).choice(left, min(num - len(told), len(left)), replace=False) if len(left) else left
    probability = len(drawn) / len(left) if len(left) else 1.0
    return [*(Chosen(place, why, 1.0) for place, why in told.items()), *(Chosen(int(one), AUDIT, probability) for one in drawn)]


def _in_turn(reasons: Mapping[str, Floats], num: int) -> dict[int, str]:
    """Places and why, best first; a list that has nothing more to say yields its turn."""
    lists = {
        why: [place for place in np.argsort(-worth, kind="stable").tolist() if worth[place] > 0] for why, worth in reasons.items()
    }
    told: dict[int, str] = {}
    while len(told) < num and any(lists.values()):
        for why, places in lists.items():
            while places and places[0] in told:
                places.pop(0)
            if places and len(told) < num:
                told[places.pop(0)] = why
    return told


def uncertainty(scores: Floats, threshold: float = 0.5) -> Floats:
    """How close an answer is to being another one, 0 to 1.

    Args:
        scores: probabilities of a yes, shape (n,), compared with the threshold; or of each class, shape (n, k): one less the
            margin between the two likeliest (Scheffer et al. 2001).
    """
    if scores.ndim == 2:
        ordered = np.sort(scores, axis=1)
        return np.asarray(1 - (ordered[:, -1] - ordered[:, -2]))
    side = np.where(scores >= threshold, 1 - threshold, threshold)
    return np.asarray(1 - np.abs(scores - threshold) / np.maximum(side, 1e-9))


def disagreement(scores: Floats, others: Floats) -> Floats:
    """How far two models' answers are apart; 0 where the other gave none (NaN)."""
    apart = np.abs(scores - others)
    return np.asarray(np.nan_to_num(apart if apart.ndim == 1 else apart.max(axis=1), nan=0.0))


def newness(rows: pa.Table, learned: pa.Table) -> Floats:
    """Share of a row's columns with a value that the model never met: another category, a number out of range, or
    nothing where there always was something."""
    strange = np.zeros(rows.num_rows)
    for name in rows.column_names:
        column, before = rows[name].combine_chunks(), learned[name].combine_chunks()
        if pa.types.is_string(column.type):
            odd = pc.invert(pc.is_in(column, value_set=pc.unique(before)))
        elif before.null_count < len(before):
            ends = pc.min_max(before)
            odd = pc.or_(pc.less(column, ends["min"]), pc.greater(column, ends["max"]))
        else:
            odd = pc.is_valid(column)
        strange += np.asarray(pc.fill_null(odd, before.null_count == 0).to_numpy(zero_copy_only=False), dtype=np.float64)
    return np.asarray(strange / max(1, len(rows.column_names)))
