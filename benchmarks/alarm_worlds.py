"""Made-up traffic for the benchmark of alarms: streams without drift as counts, streams with a planted drift as rows."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from scipy import stats

from ml import drift
from ml.monitor.answers import Labelled
from ml.monitor.evidence import LEARNED_ROWS, Evidence, Reference
from ml.problem import Drift, Problem
from ml.records import Interval

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
CELLS, REFERENCE_DAYS, QUARTER = 10, 53, 90
ONSET = date(2026, 3, 1)
EDGES = stats.norm.ppf(np.linspace(0, 1, CELLS + 1))


def quiet_quarter(rng: np.random.Generator, rows: int, columns: int, moves: float, policy: Drift) -> tuple[int, int]:
    """Days with an alarm in 90 days without drift: by the whole decision, and by its test alone, however small the shift.

    The counts of deciles are drawn instead of rows; from there on it is the product's own code.

    Args:
        moves: standard deviations by which a whole day of a column moves, anew every day.
    """
    kept = min(rows, LEARNED_ROWS // REFERENCE_DAYS)
    p_values, references, currents = np.empty((columns, QUARTER)), [], []
    for place in range(columns):
        of_days = _shares(rng, REFERENCE_DAYS + QUARTER, moves)
        days, current = rng.multinomial(kept, of_days[:REFERENCE_DAYS]), rng.multinomial(rows, of_days[REFERENCE_DAYS:])
        whole = days.sum(axis=0)
        statistic = drift.chi_square(whole, current)
        p_values[place] = drift.usual(days).p_value(statistic, CELLS - 1, (int(whole.sum()), rows))
        references.append(whole)
        currents.append(current)
    rejected = stats.false_discovery_control(p_values, axis=0, method="by") < policy.level
    large = {
        day for place, day in np.argwhere(rejected) if drift.distance(references[place], currents[place][day]) >= policy.effect
    }
    return len(large), int(rejected.any(axis=0).sum())


def _shares(rng: np.random.Generator, days: int, moves: float) -> Floats:
    if moves == 0:
        return np.full((days, CELLS), 1 / CELLS)
    return np.asarray(np.diff(stats.norm.cdf(EDGES - rng.normal(0, moves, days)[:, None]), axis=1))


@dataclass
class Stream:
    """Rows of one day: columns of numbers, of categories, scores and labels."""

    numbers: Floats  # shape (rows, columns)
    categories: list[npt.NDArray[Any]]
    scores: Floats = field(default_factory=lambda: np.zeros(0))
    labels: Floats = field(default_factory=lambda: np.zeros(0))


Plant = Callable[[Stream, np.random.Generator, int], None]


@dataclass(frozen=True)
class Planted:
    """A drift: what it does to a day so many days after its onset, and which finding must name it."""

    name: str
    kind: str
    subject: str
    plant: Plant
    columns: tuple[int, int] = (8, 4)  # of numbers and categories


def calm(rng: np.random.Generator, rows: int, numbers: int, categories: int) -> Stream:
    """A day without drift; the answer depends on the first number and the first category, the scores are calibrated."""
    drawn = Stream(
        rng.normal(size=(rows, numbers)) * 3 + 20,
        [rng.choice(["a", "b", "c", "d", "e"], rows, p=[0.4, 0.3, 0.15, 0.1, 0.05]) for _ in range(categories)],
    )
    answer(drawn, rng)
    return drawn


def answer(stream: Stream, rng: np.random.Generator) -> None:
    """Score a day as the champion does, and draw its labels as they were when it learned."""
    logits = -1 + 0.4 * (stream.numbers[:, 0] - 20) + 0.8 * (stream.categories[0] == "a")
    stream.scores = 1 / (1 + np.exp(-np.clip(logits, -30, 30)))
    stream.labels = (rng.random(len(logits)) < stream.scores).astype(float)


def _abrupt(stream: Stream, rng: np.random.Generator, day: int) -> None:
    stream.numbers[:, 0] += 3


def _gradual(stream: Stream, rng: np.random.Generator, day: int) -> None:
    stream.numbers[:, 0] += 0.3 * (day + 1)


def _recurring(stream: Stream, rng: np.random.Generator, day: int) -> None:
    if day % 4 >= 2:
        stream.numbers[:, 0] += 3


def _one_column(stream: Stream, rng: np.random.Generator, day: int) -> None:
    stream.numbers[:, -1] += 3


def _vanished(stream: Stream, rng: np.random.Generator, day: int) -> None:
    gone = stream.categories[1] == "b"
    stream.categories[1] = np.where(gone, rng.choice(["a", "c", "d", "e"], len(gone)), stream.categories[1])


def _flipped(stream: Stream, rng: np.random.Generator, day: int) -> None:
    stream.labels = 1 - stream.labels


def _unit(stream: Stream, rng: np.random.Generator, day: int) -> None:
    stream.numbers[:, 1] *= 1.609


def _nothing(stream: Stream, rng: np.random.Generator, day: int) -> None:
    pass


CALM = Planted("no drift", "", "", _nothing, (40, 10))
PLANTED = (
    Planted("abrupt: a number by 1 sd", "data", "n0", _abrupt),
    Planted("gradual: 0.1 sd more every day", "data", "n0", _gradual),
    Planted("recurring: two days in four by 1 sd", "data", "n0", _recurring),
    Planted("one of 50 columns by 1 sd", "data", "n39", _one_column, (40, 10)),
    Planted("a category vanishes (30 %)", "data", "c1", _vanished),
    Planted("P(y|x) turned round, x unchanged", "concept", "auc", _flipped),
    Planted("a silent unit change (miles to km)", "data", "n1", _unit),
)


def problem(numbers: int, categories: int) -> Problem:
    """Defaults but for the names of the columns."""
    names = {f"n{place}": {"type": "number"} for place in range(numbers)}
    names |= {f"c{place}": {"type": "category"} for place in range(categories)}
    about = {"name": "alarms", "title": "?", "task": "binary", "owner": "benchmarks"}
    source = {"table": "t", "key": "k", "event_time": "e", "label": "l", "label_time": "lt"}
    return Problem.model_validate({"problem": about, "source": source, "features": names})


def columns_of(stream: Stream) -> dict[str, pa.ChunkedArray]:
    """A day as the monitor gets it."""
    found = {f"n{place}": pa.chunked_array([pa.array(one)]) for place, one in enumerate(stream.numbers.T)}
    return found | {f"c{place}": pa.chunked_array([pa.array(one)]) for place, one in enumerate(stream.categories)}


def reference_of(days: list[Stream]) -> tuple[Reference, Stream]:
    """What a champion knows of its training days, and these days as one."""
    whole = Stream(
        np.concatenate([one.numbers for one in days]),
        [np.concatenate(parts) for parts in zip(*(one.categories for one in days), strict=True)],
        np.concatenate([one.scores for one in days]),
        np.concatenate([one.labels for one in days]),
    )
    first = ONSET - timedelta(days=len(days))
    dates = np.repeat(np.datetime64(first) + np.arange(len(days)), [len(one.scores) for one in days])
    auc = _auc(whole)
    promised = {"auc": Interval(value=auc, low=auc - 0.01, high=auc + 0.01)}
    return Reference(columns_of(whole), whole.scores, promised, days=dates, score_days=dates), whole


def evidence_of(today: Stream, labelled: list[Stream], reference: Reference, day: int) -> Evidence:
    """What the monitor holds on the morning after a day; labels come a day later."""
    scores = np.concatenate([one.scores for one in labelled]) if labelled else np.zeros(0)
    labels = np.concatenate([one.labels for one in labelled]) if labelled else np.zeros(0)
    return Evidence(
        num_requests=len(today.scores),
        num_others=0,
        columns=columns_of(today),
        scores=today.scores,
        absent={},
        reference=reference,
        labelled=Labelled(scores, labels, 0, 0, 0),
        day=ONSET + timedelta(days=day),
    )


def _auc(stream: Stream) -> float:
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(stream.labels, stream.scores))
