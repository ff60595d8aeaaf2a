"""Quality estimated without labels against the truth that came later: four champions of 2013, the 75 days after each.

`python -m benchmarks.estimates` prints a row per champion and a JSON line. Each is a logistic regression on two months,
judged on the days that follow: enough to tell how far off an estimate is, and made in seconds.
"""

import json
import os
import platform
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ml import metrics, problem
from ml.monitor import estimate
from ml.monitor.estimate import Side
from ml.monitor.evidence import Truth
from ml.problem import Problem
from ml.samples import flights

Floats = npt.NDArray[np.float64]
DAYS, MEMORY = 75, timedelta(days=60)
CHAMPIONS = ((date(2013, 3, 25), 7), (date(2013, 3, 4), 28), (date(2013, 6, 24), 7), (date(2013, 9, 24), 7))  # tested from, days
TEXTS, NUMBERS = ("carrier", "origin"), ("distance", "sched_minutes", "humid", "wind_speed", "precip", "visib")
LEVELS = (0.95, 0.9)


@dataclass(frozen=True)
class Flights:
    """Flights with known outcomes: inputs, labels and local day, in one order."""

    inputs: Floats
    labels: Floats
    days: npt.NDArray[Any]

    def between(self, start: date, end: date) -> npt.NDArray[np.bool_]:
        """Which lie in a span that does not hold its end."""
        return (self.days >= str(start)) & (self.days < str(end))


def main() -> None:
    """Score four champions on the days after their evaluation, and estimate every day."""
    about = problem.load("flights", Path(problem.__file__).parent.parent / "problems")
    past = read()
    rows = [measured(past, about, *champion) for champion in CHAMPIONS]
    print(f"{'tested from':12} {'days':>5} {'held 95 %':>10} {'held 90 %':>10} {'estimate off':>13} {'promise off':>12}")
    for row in rows:
        held = (f"{row[f'held_{level:g}']} of {DAYS}" for level in LEVELS)
        print(
            f"{row['tested']:12} {row['days']:5}",
            *(f"{one:>10}" for one in held),
            f"{row['estimate']:13.3f} {row['promise']:12.3f}",
        )
    shares = {level: sum(int(row[f"held_{level:g}"]) for row in rows) / (DAYS * len(rows)) for level in LEVELS}
    goals = [
        {
            "name": f"days whose truth the {level:.0%} interval held",
            "value": round(share, 3),
            "unit": "share",
            "goal": round(level - 0.05, 2),
            "holds": share >= level - 0.05,
        }
        for level, share in shares.items()
    ]
    machine = {"python": platform.python_version(), "cpus": os.cpu_count()}
    print(json.dumps({"bench": "estimates", "machine": machine, "goals": goals, "rows": rows}))


def read() -> Flights:
    """The year, as numbers."""
    found = flights.read()
    found = found.filter(pc.is_valid(found["late_15"]))
    local = found["sched_dep"].cast(pa.timestamp("us", "UTC")).cast(pa.timestamp("us", flights.NEW_YORK))
    numbers = np.column_stack([np.asarray(found[name].cast(pa.float64()).fill_null(0.0)) for name in NUMBERS])
    texts = [np.asarray(found[name].to_pylist()) for name in TEXTS]
    parts = [_one_hot(one) for one in (*texts, np.asarray(pc.hour(local)), np.asarray(pc.day_of_week(local)))]
    inputs = np.column_stack([*parts, (numbers - numbers.mean(axis=0)) / numbers.std(axis=0)])
    labels = np.asarray(found["late_15"].cast(pa.float64()))
    return Flights(inputs, labels, np.asarray(pc.strftime(local, "%Y-%m-%d").to_pylist()))


def measured(past: Flights, about: Problem, tested: date, num_days: int) -> dict[str, Any]:
    """One champion: how many days' truth the intervals held, and how far estimate and promise were off on average."""
    score, end = _champion(past, tested), tested + timedelta(days=num_days)
    rows = past.between(tested, end)
    scores = score(rows)
    truth = Truth(scores, past.labels[rows], past.days[rows], {})
    held, misses = dict.fromkeys(LEVELS, 0), []
    for place in range(DAYS):
        day = past.between(end + timedelta(days=place), end + timedelta(days=place + 1))
        served = score(day)
        later = metrics.metric("auc", past.labels[day], served)
        for level in LEVELS:
            asked = about.model_copy(update={"gate": about.gate.model_copy(update={"confidence": level})})
            found = estimate.estimate(_side(served), _side(scores), truth, asked)
            assert found is not None
            held[level] += int(found.quality.low <= later <= found.quality.high)
            misses.append((abs(found.quality.value - later), abs(found.usual - later)))
    ours, promise = np.mean(misses, axis=0)
    counts: dict[str, Any] = {f"held_{level:g}": number for level, number in held.items()}
    return {"tested": str(tested), "days": num_days, "estimate": float(ours), "promise": float(promise)} | counts


def _champion(past: Flights, tested: date) -> Callable[[npt.NDArray[np.bool_]], Floats]:
    from sklearn.linear_model import LogisticRegression

    learned = past.between(tested - MEMORY, tested)
    model = LogisticRegression(max_iter=300).fit(past.inputs[learned], past.labels[learned])
    return lambda rows: np.asarray(model.predict_proba(past.inputs[rows])[:, 1], np.float64)


def _side(scores: Floats) -> Side:
    return Side(scores, np.zeros((len(scores), 0), np.int64))


def _one_hot(values: npt.NDArray[Any]) -> Floats:
    _, places = np.unique(values, return_inverse=True)
    return np.asarray(np.eye(int(places.max()) + 1)[places], np.float64)


if __name__ == "__main__":
    main()
