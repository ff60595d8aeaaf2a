"""Rows learned from against rows served: what requests lack, and whether they come from the same population."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from ml import drift, requests
from ml.errors import DataError
from ml.metrics import metric
from ml.problem import Feature
from ml.understand.columns import Bools, Column, Floats
from ml.understand.findings import Finding, Look
from ml.understand.rates import auc_error

FEWEST = 200  # rows of each side
ABSENT, FILLED = 0.99, 0.05  # missing in this share of requests; filled in this share of the rows learned from
EMPTIER, STRANGE = 0.2, 0.05  # more missing, and share of values never learned, that a warning takes
TOLD_APART, SURE = 0.6, 0.55  # AUC of a classifier that tells the two apart; lower end of its interval
MOST = 4000  # rows of each side that the classifier sees
ROUNDS, LEAVES = 40, 15


@dataclass(frozen=True)
class Served:
    """Requests: per column the values of those that carry it, and the share that does; `strange`: why a column is unusable."""

    num_rows: int
    columns: dict[str, Column]
    carried: dict[str, float]
    strange: dict[str, str]


@dataclass(frozen=True)
class Difference:
    """One column, learned from against served; `distance` is Jensen-Shannon's."""

    column: str
    distance: float
    p_value: float
    missing: tuple[float, float]
    unseen: float
    new_values: tuple[str, ...]

    @property
    def told_already(self) -> bool:
        """Whether a finding of its own says what is wrong: the classifier then looks at the other columns."""
        return self.missing[1] - self.missing[0] >= EMPTIER or (self.unseen >= STRANGE and bool(self.new_values))


@dataclass(frozen=True)
class Comparison:
    """Two populations. `auc`: how well a classifier tells them apart, 0.5 when not at all; NaN with too few rows."""

    against: str
    differences: tuple[Difference, ...]
    auc: float
    error: float

    @property
    def apart(self) -> bool:
        """Whether they surely differ by more than a little."""
        return self.auc >= TOLD_APART and self.auc - 2 * self.error >= SURE


def served_rows(texts: Sequence[str], features: Mapping[str, Feature], zone: str) -> Served:
    """Requests as logged (JSON objects) in columns.

    Raises: DataError: a row of the log is no JSON object.
    """
    try:
        rows: list[dict[str, Any]] = [json.loads(text) for text in texts]
    except json.JSONDecodeError as error:
        raise DataError(
            f"The request log holds a row that is no JSON ({error}). The table request_log was changed by hand."
        ) from error
    columns, carried, strange = {}, {}, {}
    for name, feature in features.items():
        held = [row[name] for row in rows if name in row]
        carried[name] = len(held) / max(len(rows), 1)
        try:
            columns[name] = Column(name, feature.type, _typed(held, feature.type, zone), unit=feature.unit)
        except ValueError as error:
            strange[name] = str(error)
    return Served(len(rows), columns, carried, strange)


def absent(served: Served, learned: Mapping[str, Column]) -> Look:
    """Columns that the rows learned from have and requests do not, or hold other values."""
    if served.num_rows < FEWEST:
        return Look("absent at serving", unknown=_too_few(served.num_rows))
    found = []
    for name, column in learned.items():
        filled = float((~column.missing).mean()) if len(column.values) else 0.0
        if name in served.strange:
            found.append(_finding(name, "serious", f"Requests hold values of {name} that are no {column.kind}.", {}))
        elif filled >= FILLED:
            found += _lacking(name, filled, served)
    return Look("absent at serving", tuple(found), clean=f"{len(learned)} columns in {served.num_rows:,} requests")


def compare(
    served: Served, learned: Mapping[str, Column], features: Mapping[str, Feature], zone: str, against: str
) -> Comparison:
    """Column by column, and all together.

    Args:
        against: what the other population is called, as in "rows of the same days".
    """
    differences, codes = [], []
    for name, column in learned.items():
        ours = served.columns.get(name)
        if ours is None or len(ours.values) < FEWEST or len(column.values) < FEWEST:
            continue
        cells = drift.cells(pa.chunked_array([column.values]), pa.chunked_array([ours.values]), features[name], timezone=zone)
        moved = drift.shift(cells)
        new = drift.unseen(pa.chunked_array([column.values]), pa.chunked_array([ours.values]), features[name], timezone=zone)
        gap = cells.share(drift.UNSEEN) - _reference_share(cells)
        gone = float(column.missing.mean()), float(ours.missing.mean())
        differences.append(Difference(name, moved.distance, moved.p_value, gone, max(gap, 0.0), tuple(new)))
        if len(ours.values) == served.num_rows and not differences[-1].told_already:
            codes.append((cells.reference, cells.current))
    area, error = told_apart(codes)
    return Comparison(against, tuple(sorted(differences, key=lambda one: -one.distance)), area, error)


def told_apart(codes: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[float, float]:
    """AUC, and its standard error, of gradient boosting that learns to tell two samples apart (classifier two-sample test,
    Lopez-Paz and Oquab 2017, ICLR); each half is scored by what the other half taught.

    Args:
        codes: per column the cells of both samples, shapes (n,) and (m,).
    Returns: NaN, NaN with fewer than FEWEST rows in a sample, or without columns.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier

    if not codes or min(len(codes[0][0]), len(codes[0][1])) < FEWEST:
        return float("nan"), float("nan")
    rng = np.random.default_rng(0)
    chosen = [rng.permutation(len(side))[:MOST] for side in codes[0]]
    rows = np.concatenate([np.stack([pair[side][chosen[side]] for pair in codes], axis=1) for side in (0, 1)])
    truth = np.repeat([0, 1], [len(one) for one in chosen])
    half: Bools = rng.random(len(truth)) < 0.5
    scores: Floats = np.zeros(len(truth))
    for taught in (half, ~half):
        model = HistGradientBoostingClassifier(max_iter=ROUNDS, max_leaf_nodes=LEAVES, early_stopping=False, random_state=0)
        scores[~taught] = model.fit(rows[taught], truth[taught]).predict_proba(rows[~taught])[:, 1]
    area = metric("auc", truth.astype(np.float64), scores)
    return area, auc_error(area, int(truth.sum()), int((truth == 0).sum()))


def sampling_bias(found: Comparison | None, num_served: int, *, effect: float, same_time: bool) -> Look:
    """Whether the rows learned from stand for the rows served.

    Args:
        effect: smallest distance of a column that counts.
        same_time: the rows compared are of the same days; else season and drift are in the difference.
    """
    if found is None or np.isnan(found.auc):
        return Look("sampling bias", unknown=_too_few(num_served))
    moved = [one for one in found.differences if one.distance >= effect and one.p_value < 0.001 and not one.told_already]
    if not found.apart and not moved:
        return Look("sampling bias", clean=f"{num_served:,} requests against {found.against}: AUC {found.auc:.2f}, 0.5 is alike")
    return Look("sampling bias", (_biased(found, moved, num_served, same_time),))


def _typed(held: list[Any], kind: str, zone: str) -> pa.Array:
    values = requests.typed(held, kind)
    return values.cast(pa.timestamp("us", zone)) if kind == "datetime" else values


def _reference_share(cells: drift.Cells) -> float:
    """Share of reference values met only once: as many new ones are normal."""
    if drift.UNSEEN not in cells.names or len(cells.reference) == 0:
        return 0.0
    return float((cells.reference == cells.names.index(drift.UNSEEN)).mean())


def _lacking(name: str, filled: float, served: Served) -> list[Finding]:
    carried, column = served.carried[name], served.columns[name]
    missing = 1 - carried * float((~column.missing).mean()) if len(column.values) else 1.0
    numbers: dict[str, float | None] = {"filled_when_learned": filled, "carried": carried, "missing_when_served": missing}
    asked, learned = f"of {served.num_rows:,} requests", f"{filled:.1%} of the rows learned from"
    if carried <= 1 - ABSENT:
        return [_finding(name, "serious", f"{name} is in {carried:.1%} {asked}, though {learned} have a value.", numbers)]
    if missing >= ABSENT:
        return [_finding(name, "serious", f"{name} is empty in {missing:.1%} {asked}, though filled in {learned}.", numbers)]
    if missing >= 1 - filled + EMPTIER:
        return [_finding(name, "warning", f"{name} is missing in {missing:.1%} {asked}, but filled in {learned}.", numbers)]
    return []


def other_values(found: Comparison) -> list[Finding]:
    """Requests with values that were never learned."""
    return [
        _finding(
            one.column,
            "warning",
            f"{one.unseen:.1%} of the requests hold a value of {one.column} that is nowhere in {found.against}, such as "
            f"{', '.join(repr(value[:30]) for value in one.new_values)}.",
            {"unseen": one.unseen},
        )
        for one in found.differences
        if one.unseen >= STRANGE and one.new_values
    ]


def _finding(name: str, severity: Any, sentence: str, numbers: dict[str, float | None]) -> Finding:
    return Finding(
        check="absent at serving",
        severity=severity,
        subject=name,
        sentence=sentence,
        matters="The model learned to use the column and does not get it when it counts, so it is worse in service than in "
        "its evaluation.",
        todo=f"Have the clients send {name} as it was learned, or take it out of [features].",
        numbers=numbers,
    )


def _biased(found: Comparison, moved: Sequence[Difference], num_served: int, same_time: bool) -> Finding:
    first = moved or [one for one in found.differences if not one.told_already][:3]
    named = ", ".join(f"{one.column} ({one.distance:.2f})" for one in first[:4])
    time = (
        "" if same_time else " Season and drift are part of this difference: no rows of the same days are here to compare with."
    )
    return Finding(
        check="sampling bias",
        severity="warning" if same_time else "note",
        subject=", ".join(one.column for one in first[:3]),
        sentence=f"{num_served:,} requests and {found.against} are not alike: a classifier tells them apart with an AUC of "
        f"{found.auc:.2f} (0.5: not at all). They differ most in {named}.",
        matters=f"The figures of the evaluation hold for rows like those learned from.{time}",
        todo="Find out who asks and about what: rows that the source leaves out, or clients that ask about a part only.",
        numbers={"auc": found.auc, "auc_error": found.error, "distance": first[0].distance if first else None},
    )


def _too_few(number: int) -> str:
    return f"it takes {FEWEST} requests and as many rows; there are {number:,} requests"
