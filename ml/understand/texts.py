"""Texts for people: how long they are, which words go with which label, and a few of them, redacted."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ml.understand.columns import Column, Floats, numbers
from ml.understand.leakage import frequent_words

SHOWN, CHARACTERS, WORDS, TOP = 3, 320, 400, 12
FEWEST = 100  # texts of each class before words are compared


@dataclass(frozen=True)
class Texts:
    """One text column. `words` are those that lean most to a positive and to a negative label."""

    column: str
    filled: int
    median: float
    longest: float
    examples: tuple[tuple[str, str], ...]
    words: tuple[tuple[str, ...], tuple[str, ...]]


def describe(column: Column, labels: Floats, names: tuple[str, str], redact: Callable[[str], str]) -> Texts | None:
    """None where no row has a text.

    Args:
        labels: shape (n,), NaN where unknown.
        names: what a positive and what another row is called.
        redact: hides what must not be shown.
    """
    filled = np.flatnonzero(~column.missing)
    if len(filled) == 0:
        return None
    held, known = column.taken(filled), labels[filled]
    lengths = numbers(held)
    shown = [
        (name, _short(redact(held.values[int(place)].as_py())))
        for value, name in ((1.0, names[0]), (0.0, names[1]))
        for place in _typical(lengths, np.flatnonzero(known == value))
    ]
    return Texts(column.name, len(filled), float(np.median(lengths)), float(lengths.max()), tuple(shown), leaning(held, known))


def leaning(column: Column, labels: Floats) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Words that lean to a positive, then to a negative label: log odds with a prior from all texts, in standard errors.

    Source: Monroe, Colaresi and Quinn 2008, Political Analysis 16, 372-403. Each word counts once a text; from two
    standard errors on.
    """
    known = np.flatnonzero(~np.isnan(labels))
    truth = labels[known]
    if min((truth == 1).sum(), (truth == 0).sum()) < FEWEST:
        return (), ()
    rows, words, names = frequent_words(column.taken(known), WORDS)
    counts = [np.bincount(words[truth[rows] == value], minlength=len(names)) for value in (1.0, 0.0)]
    prior = (counts[0] + counts[1]) / max(len(rows), 1) * 500
    odds = [np.log((one + prior) / (one.sum() + 500 - one - prior)) for one in counts]
    score = (odds[0] - odds[1]) / np.sqrt(1 / (counts[0] + prior) + 1 / (counts[1] + prior))
    order = np.argsort(-score, kind="stable")
    positive = [names[place] for place in order[:TOP] if score[place] > 2]
    negative = [names[place] for place in order[::-1][:TOP] if score[place] < -2]
    return tuple(positive), tuple(negative)


def _typical(lengths: Floats, places: np.ndarray) -> list[int]:
    """A short, a middling and a longer text of these."""
    if len(places) == 0:
        return []
    order = places[np.argsort(lengths[places], kind="stable")]
    chosen = [order[int(share * (len(order) - 1))] for share in np.linspace(0.2, 0.8, SHOWN)]
    return list(dict.fromkeys(int(place) for place in chosen))


def _short(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= CHARACTERS else flat[:CHARACTERS].rsplit(" ", 1)[0] + " …"
