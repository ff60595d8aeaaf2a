"""Are the values that requests hold of the kind that the champion learned? A broken feed is mended, not learned."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ml import drift
from ml.monitor.evidence import Evidence
from ml.monitor.finding import chance, too_few, unknown
from ml.monitor.shifts import STRINGS
from ml.problem import Problem
from ml.records import DriftFinding

Share = tuple[float, float]  # of the requests, and of the champion's own rows


def of_inputs(evidence: Evidence, problem: Problem) -> list[DriftFinding]:
    """Every column: values that are missing, were never learned, or lie outside the learned range, beyond what is usual."""
    policy = problem.drift
    if evidence.num_requests < policy.minimum_rows:
        why = too_few(evidence.num_requests, "requests", policy)
        return [unknown("schema", name, why) for name in problem.features]
    return [_of_column(evidence, name, problem) for name in problem.features]


def defects(evidence: Evidence, name: str, problem: Problem) -> dict[str, Share]:
    """Shares of values of one column with a defect, by what it is."""
    ours, theirs = evidence.columns[name], evidence.reference.columns[name]
    found = {"missing": (_missing(ours), _missing(theirs))}
    if problem.features[name].type in STRINGS:
        cells = drift.cells(theirs, ours, problem.features[name], timezone=problem.source.timezone)
        found["never learned"] = cells.share(drift.UNSEEN), float((cells.reference == cells.names.index(drift.UNSEEN)).mean())
    if pa.types.is_floating(ours.type):
        found["out of range"] = _outside(ours, theirs), 0.0
    return found


def _of_column(evidence: Evidence, name: str, problem: Problem) -> DriftFinding:
    policy, carried = problem.drift, evidence.carried.get(name, 1.0)
    if name not in evidence.columns:
        # Enough requests hold it, so it is what they hold that cannot be read.
        held = carried * len(evidence.scores) >= min(policy.minimum_rows, len(evidence.scores))
        share = 1.0 if held else 1 - carried
        return _finding(name, share, None, policy.defects, share >= policy.defects, evidence.absent[name])
    if name not in evidence.reference.columns:
        return unknown("schema", name, f"{name} cannot be compared: {evidence.absent[name]}")
    found = defects(evidence, name, problem) | {"not sent": (1 - carried, 0.0)}
    sizes = len(evidence.columns[name]), len(evidence.reference.columns[name])
    worst = max(found, key=lambda what: found[what][0] - found[what][1])
    now, before = found[worst]
    p_value = min(1.0, drift.p_value(_counts(now, sizes[0]), _counts(before, sizes[1])) * len(found))
    drifted = now - before >= policy.defects and p_value < policy.level / 2 / len(
        problem.features
    )  # half is for the delay of labels
    told = ", ".join(f"{what} {one:.1%} against {other:.1%}" for what, (one, other) in found.items() if one or other)
    sentence = f"{name}: {told or 'no defect'}; limit {policy.defects:.0%} more, {chance(p_value)}"
    return _finding(name, now - before, p_value, policy.defects, drifted, sentence)


def _finding(name: str, value: float, p_value: float | None, limit: float, drifted: bool, sentence: str) -> DriftFinding:
    return DriftFinding(
        kind="schema", subject=name, drifted=drifted, value=value, limit=limit, p_value=p_value, sentence=sentence
    )


def _counts(share: float, size: int) -> list[int]:
    hit = round(share * size)
    return [hit, size - hit]


def _missing(column: pa.ChunkedArray) -> float:
    """An empty text is missing, and so is NaN."""
    if pa.types.is_string(column.type):
        gone = pc.or_kleene(pc.is_null(column), pc.equal(column, ""))
    else:
        gone = pc.is_null(column, nan_is_null=True)
    return float(pc.mean(pc.fill_null(gone, True)).as_py() or 0.0)


def _outside(ours: pa.ChunkedArray, theirs: pa.ChunkedArray) -> float:
    """Share of values beyond the smallest and largest that were learned; an infinite one is beyond."""
    known = np.asarray(theirs.drop_null().to_numpy(), np.float64)
    known, values = known[np.isfinite(known)], np.asarray(ours.drop_null().to_numpy(), np.float64)
    if len(known) == 0 or len(ours) == 0:
        return 0.0
    return float(((values < known.min()) | (values > known.max())).sum() / len(ours))
