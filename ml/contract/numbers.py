"""What happened to a column of numbers: other units, a turned sign, a cap, another scale."""

import numpy as np

from ml.contract.evidence import MEDIAN, Evidence
from ml.contract.record import Found, Hypothesis
from ml.contract.units import CONVERSIONS, FLIPPED, Conversion, Floats, plausible
from ml.profile import GRID, ColumnProfile

LISTED_ROWS, NEW_VALUES = 50, 5  # fewer rows or different values prove nothing
NEW_SHARE = 0.05  # of rows with values that were never recorded
LISTED = 0.3  # share of rows that the listed values must cover to speak for the column
LEAST, UNSURE = 0.3, 0.25  # a worse explanation is none; that there is no explanation comes last
EXPLAINED = 0.7  # share of the new values that a conversion must explain
FIT, MISFIT = 0.15, 4.0  # largest error of a conversion by quantiles, and how much worse no conversion must be
FAR = 6.0  # spreads away, or this many times smaller: no season does that


def explain(name: str, unit: str, recorded: ColumnProfile, now: ColumnProfile) -> Found:
    """Kinds of difference with explanations, in no order."""
    if not recorded.quantiles or not now.quantiles:
        return []
    evidence = Evidence(recorded, now)
    found: Found = [("unit", one) for one in converted(name, unit, evidence)]
    found += [("range", one) for one in moved_far(name, evidence)]
    return found + [("clipped", one) for one in clipped(name, evidence)]


def converted(name: str, unit: str, evidence: Evidence) -> list[Hypothesis]:
    """Units that the numbers may have changed to, the sign turned round among them."""
    listed = evidence.values_before.coverage >= LISTED and evidence.values_now.num_rows >= LISTED_ROWS
    same_values = listed and evidence.share_new < NEW_SHARE
    if same_values or not (listed or evidence.outside):
        return []
    found = []
    for conversion in (*CONVERSIONS, *([FLIPPED] if evidence.flippable else [])):
        likely = 1.0 if conversion is FLIPPED or _is_share(conversion, evidence) else plausible(conversion, name, unit)
        score = likely * _fit(conversion, evidence, listed)
        if score >= LEAST:
            found.append(Hypothesis(cause=conversion.cause, sentence=_say(name, conversion, evidence), score=score))
    return found


def moved_far(name: str, evidence: Evidence) -> list[Hypothesis]:
    """Numbers of another size altogether, whatever the reason."""
    before, now = evidence.before, evidence.now
    tiny = now[-2] * FAR < before[MEDIAN] and now[-2] < before[1] and min(now[0], before[0]) >= 0
    if not evidence.outside or not (tiny or evidence.error_unconverted >= FAR):
        return []
    times = f", {now[MEDIAN] / before[MEDIAN]:.3g} times the recorded one" if before[MEDIAN] else ""
    sentence = f"{name} is on another scale: its median is {now[MEDIAN]:.6g}{times}; no conversion of units is sure"
    return [Hypothesis(cause="another scale", sentence=sentence, score=UNSURE)]


def clipped(name: str, evidence: Evidence) -> list[Hypothesis]:
    """A cap: as many values at the largest one as there used to be at or beyond it, and below it all as before."""
    if evidence.present.distinct < NEW_VALUES or not evidence.steady or not evidence.error_unconverted < FIT * 2:
        return []
    found = []
    for side, end, which in (("above", -1, "largest"), ("below", 0, "smallest")):
        cap = float(evidence.now[end])
        here, before = _share_at(evidence.present, cap), _share_at(evidence.recorded, cap)
        beyond = _share_beyond(evidence.before, cap, above=end == -1)
        pinned = here >= 0.02 and here >= 3 * before and beyond - before >= 0.015
        if pinned and abs(here - beyond) <= 0.35 * beyond + 0.01:
            sentence = (
                f"{name} is cut off: the {which} value is {cap:.6g} now, in {here:.0%} of rows; {beyond:.0%} were at it or {side}"
            )
            found.append(Hypothesis(cause="cut off at a limit", sentence=sentence, score=0.9))
    return found


def _is_share(conversion: Conversion, evidence: Evidence) -> bool:
    """Whether numbers from 0 to 1 became numbers from 0 to 100, as percent do."""
    inside = evidence.before[0] >= 0 and evidence.before[-1] <= 1 < evidence.now[-1] <= 100
    return bool(inside) and conversion.now == "percent"


def _fit(conversion: Conversion, evidence: Evidence, listed: bool) -> float:
    """0 to 1: by the values that occur, where these are few enough to be listed, else by the quantiles."""
    if listed and int(evidence.new.sum()) >= NEW_VALUES:
        found = evidence.explained(conversion)
        if found >= EXPLAINED:
            return found
    if not evidence.outside or (listed and evidence.share_new < 0.5 * evidence.values_before.coverage):
        return 0.0
    error = evidence.error(conversion)
    if evidence.steady and error <= FIT and evidence.error_unconverted >= MISFIT * error:
        return 0.9 * (1 - error / FIT / 2)
    return 0.9 * evidence.usual_again(conversion) if conversion.large else 0.0


def _say(name: str, conversion: Conversion, evidence: Evidence) -> str:
    medians = f"median {evidence.before[MEDIAN]:.6g} before, {evidence.now[MEDIAN]:.6g} now"
    if conversion is FLIPPED:
        return f"{name} has the opposite sign: {medians}"
    part = ", at least in a part of the rows" if evidence.steady and evidence.error(conversion) > FIT else ""
    return f"{name} is now in {conversion.now} instead of {conversion.before}: {conversion.arithmetic}{part} ({medians})"


def _share_at(profile: ColumnProfile, value: float) -> float:
    """Share of the present rows that hold a value, as far as it is listed."""
    return sum(count for text, count in profile.values.items() if float(text) == value) / max(profile.num_present, 1)


def _share_beyond(quantiles: Floats, value: float, *, above: bool) -> float:
    """Share of rows at a value or beyond it, by the quantiles."""
    if above:
        return 1 - GRID[max(0, int(np.searchsorted(quantiles, value, side="left")) - 1)]
    return GRID[min(len(GRID) - 1, int(np.searchsorted(quantiles, value, side="right")))]
