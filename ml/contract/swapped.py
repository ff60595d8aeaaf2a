"""Two columns that changed places."""

from collections.abc import Mapping

import numpy as np

from ml.contract.evidence import Evidence
from ml.contract.record import Hypothesis
from ml.contract.texts import PRESENT
from ml.profile import ColumnProfile

OWN, STRANGE = 0.85, 0.4  # shares of rows with the other column's values, and with the own ones


def swapped(recorded: Mapping[str, ColumnProfile], now: Mapping[str, ColumnProfile]) -> dict[str, Hypothesis]:
    """Columns that look like one another's record and not like their own, both ways."""
    names = [name for name in now if name in recorded and recorded[name].kind == now[name].kind != "boolean"]
    strange = [name for name in names if _strange(recorded[name], now[name])]
    found = {}
    for place, one in enumerate(strange):
        for other in strange[place + 1 :]:
            if recorded[one].kind != recorded[other].kind:
                continue
            if _alike(recorded[other], now[one]) and _alike(recorded[one], now[other]):
                for name, twin in ((one, other), (other, one)):
                    sentence = f"{one} and {other} are swapped: each holds what was recorded of the other"
                    found[name] = Hypothesis(cause=f"swapped with {twin}", sentence=sentence, score=0.99)
    return found


def _strange(recorded: ColumnProfile, now: ColumnProfile) -> bool:
    """Whether a column does not look like its own record."""
    if min(recorded.num_present, now.num_present) < PRESENT:
        return False
    if now.kind == "number":
        return bool(recorded.quantiles and now.quantiles) and Evidence(recorded, now).error_unconverted > 0.2
    if now.kind == "datetime":
        return not _alike(recorded, now)
    return _held(recorded, now) < STRANGE


def _alike(recorded: ColumnProfile, now: ColumnProfile) -> bool:
    """Whether a column looks like a record."""
    if now.kind == "number":
        found = Evidence(recorded, now)
        return found.error_unconverted <= 0.2 and (found.values_before.coverage < 0.8 or found.share_new < STRANGE)
    if now.kind == "datetime":
        if recorded.gaps and now.gaps:
            before, current = np.asarray(recorded.gaps), np.asarray(now.gaps)
            return bool(np.abs(before - current)[3:-3].max() <= 0.1 * (before[-1] - before[0]) + 1)
        return False
    return _held(recorded, now) >= OWN


def _held(recorded: ColumnProfile, now: ColumnProfile) -> float:
    """Share of the present values (of texts: forms) that were recorded."""
    before, current = (recorded.shapes, now.shapes) if now.kind == "text" else (recorded.values, now.values)
    return sum(count for value, count in current.items() if value in before) / max(sum(current.values()), 1)
