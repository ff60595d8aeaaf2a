"""How far two labellers agree on the rows that both labelled."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ml.problem import Problem


@dataclass(frozen=True)
class Agreement:
    """Two labellers on the rows that both labelled; `kappa` is None for numbers, and where both always said the same thing."""

    labellers: tuple[str, str]
    num_rows: int
    agreed: float
    kappa: float | None
    apart: tuple[str, ...]  # keys on which they differ


def agreements(held: Mapping[tuple[str, str], Any], problem: Problem) -> list[Agreement]:
    """Every pair of labellers that have rows in common.

    Args:
        held: label by key and labeller.
    """
    people = sorted({by for _, by in held})
    by_labeller = {one: {key: label for (key, by), label in held.items() if by == one} for one in people}
    pairs = ((pair, sorted(set(by_labeller[pair[0]]) & set(by_labeller[pair[1]]))) for pair in itertools.combinations(people, 2))
    return [_compare(pair, keys, [by_labeller[one] for one in pair], problem) for pair, keys in pairs if keys]


def _compare(pair: tuple[str, str], keys: list[str], told: list[Mapping[str, Any]], problem: Problem) -> Agreement:
    ones, others = ([labels[key] for key in keys] for labels in told)
    apart = tuple(key for key, one, other in zip(keys, ones, others, strict=True) if one != other)
    numbers = problem.task.label == "number"
    return Agreement(pair, len(keys), 1 - len(apart) / len(keys), None if numbers else _kappas(ones, others, problem), apart)


def _kappas(ones: list[Any], others: list[Any], problem: Problem) -> float | None:
    """Of several labels the mean of theirs."""
    if problem.problem.task != "multilabel":
        return _kappa(ones, others)
    each = [_kappa([one[name] for one in ones], [one[name] for one in others]) for name in problem.outputs]
    known = [one for one in each if one is not None]
    return float(np.mean(known)) if known else None


def _kappa(ones: list[Any], others: list[Any]) -> float | None:
    """Cohen's kappa: agreement beyond what chance gives (Cohen 1960)."""
    from sklearn.metrics import cohen_kappa_score

    if len({*map(str, ones), *map(str, others)}) < 2:
        return None
    return float(cohen_kappa_score([str(one) for one in ones], [str(one) for one in others]))
