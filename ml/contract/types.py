"""The names and types of the source's columns against the recorded ones, before a row is read."""

import difflib
from collections.abc import Collection, Mapping

from ml.contract.record import Contract, Difference, Hypothesis, Kind

FAMILIES = {  # words in a source's name of a type, the telling ones first
    "time with zone": ("timestamp with time zone", "timestamptz", "tz="),
    "time without zone": ("timestamp",),
    "date": ("date",),
    "decimal": ("double", "real", "numeric", "decimal", "float"),
    "integer": ("bigint", "smallint", "integer", "uint", "int"),
    "yes or no": ("bool",),
    "text": ("text", "char", "string", "utf8", "json", "uuid"),
    "nothing yet": ("null",),
}
WHY = {  # (recorded, now): what it mostly means, and whether values stay readable
    ("integer", "text"): "numbers are written as text now; texts that are no number will not be read",
    ("decimal", "text"): "numbers are written as text now, perhaps with a unit or a decimal comma",
    ("text", "integer"): "texts became numeric codes, or lost leading zeros",
    ("text", "decimal"): "texts became numbers",
    ("integer", "decimal"): "whole numbers may have fractions now, or missing values made them decimals on the way",
    ("decimal", "integer"): "fractions were rounded away",
    ("time with zone", "time without zone"): "the zone was dropped: times may be local now and read hours off",
    ("time without zone", "time with zone"): "times carry their zone now; before they were taken as local",
    ("time with zone", "date"): "the time of day was cut off",
    ("time without zone", "date"): "the time of day was cut off",
    ("date", "time with zone"): "dates carry a time of day now",
    ("date", "time without zone"): "dates carry a time of day now",
    ("time with zone", "text"): "moments are written as text now; order of day and month and the zone are open",
    ("time without zone", "text"): "moments are written as text now; order of day and month is open",
    ("date", "text"): "dates are written as text now; order of day and month is open",
    ("time with zone", "integer"): "moments are seconds or milliseconds since 1970 now",
    ("time without zone", "integer"): "moments are seconds or milliseconds since 1970 now",
    ("yes or no", "text"): "yes and no are written as words now, such as Y and N",
    ("yes or no", "integer"): "yes and no are written as 1 and 0 now",
    ("text", "yes or no"): "words became yes and no",
    ("integer", "yes or no"): "1 and 0 became yes and no",
}
RENAMED = 0.45  # likeness of an old and a new column from which on it is called a new name


def compare_types(contract: Contract, types: Mapping[str, str], *, ignore: Collection[str] = ()) -> list[Difference]:
    """Columns added, removed, renamed and retyped since the contract was recorded.

    Args:
        types: all columns of the source with its own names of their types, in its order.
        ignore: columns that may come, go and change.
    """
    before, now = ({name: kind for name, kind in one.items() if name not in ignore} for one in (contract.types, types))
    removed, added = ([name for name in one if name not in other] for one, other in ((before, now), (now, before)))
    pairs = _renamed(before, now, removed, added)
    found = [_rename(contract, old, pairs[old], before[old], now[pairs[old][0]]) for old in removed if old in pairs]
    found += [_removed(contract, name, before[name]) for name in removed if name not in pairs]
    found += [_added(name, now[name]) for name in added if name not in {new for new, _ in pairs.values()}]
    return found + [
        _retyped(name, before[name], now[name]) for name in before if name in now and _differ(before[name], now[name])
    ]


def family(kind: str) -> str:
    """What kind of values a source's type holds, in plain words."""
    words = kind.lower()
    if "without time zone" in words:
        return "time without zone"
    return next((name for name, signs in FAMILIES.items() if any(sign in words for sign in signs)), words)


def _differ(before: str, now: str) -> bool:
    """A column without a value yet has no type; the two layouts of Arrow's strings are one."""
    one, other = (kind.removeprefix("large_") for kind in (before, now))
    return one != other and "nothing yet" not in (family(before), family(now))


def _renamed(
    before: Mapping[str, str], now: Mapping[str, str], removed: list[str], added: list[str]
) -> dict[str, tuple[str, float]]:
    """Old names with the new one that fits best: by type, by place in the table, by spelling."""
    scores = sorted(((_likeness(before, now, old, new), old, new) for old in removed for new in added), reverse=True)
    pairs: dict[str, tuple[str, float]] = {}
    for score, old, new in scores:
        if score >= RENAMED and old not in pairs and new not in {taken for taken, _ in pairs.values()}:
            pairs[old] = (new, score)
    return pairs


def _likeness(before: Mapping[str, str], now: Mapping[str, str], old: str, new: str) -> float:
    spelling = difflib.SequenceMatcher(None, old.lower(), new.lower()).ratio()
    if old in new or new in old:
        spelling = max(spelling, 0.9)
    elif set(old.split("_")) & set(new.split("_")):
        spelling = max(spelling, 0.7)
    place = _neighbours(before, old) == _neighbours(now, new) or list(before).index(old) == list(now).index(new)
    alike = family(before[old]) == family(now[new])
    return (0.5 * spelling + 0.45 * place) if alike else 0.5 * spelling * (spelling > 0.8)


def _neighbours(types: Mapping[str, str], name: str) -> tuple[str | None, str | None]:
    names = list(types)
    at = names.index(name)
    return names[at - 1] if at else None, names[at + 1] if at + 1 < len(names) else None


def _rename(contract: Contract, old: str, new: tuple[str, float], before: str, now: str) -> Difference:
    name, score = new
    named = "; name it so in the problem file, then accept" if contract.columns[old].declared else ""
    hypotheses = (
        Hypothesis(cause=f"renamed to {name}", sentence=f"{old} is called {name} now{named}", score=min(1.0, 0.5 + score / 2)),
        Hypothesis(cause="dropped", sentence=f"{old} was dropped, and {name} is something else", score=0.3),
    )
    return Difference(column=old, kind="renamed", what=f"{old} ({before}) is gone, {name} ({now}) is new", hypotheses=hypotheses)


def _removed(contract: Contract, name: str, before: str) -> Difference:
    used = contract.columns[name].declared
    words = "the problem file uses it: take it out there, or ask for it back" if used else "nothing here uses it"
    return _difference(
        name, "removed", f"{name} ({before}) is gone", "dropped", f"{name} was dropped at the source; {words}", 0.9
    )


def _added(name: str, now: str) -> Difference:
    sentence = f"{name} was added at the source; nothing reads it until the problem file names it"
    return _difference(name, "added", f"{name} ({now}) is new", "added", sentence, 0.9)


def _retyped(name: str, before: str, now: str) -> Difference:
    old, new = family(before), family(now)
    words = (
        "it is wider or narrower; the values are mostly the same" if old == new else WHY.get((old, new), f"{old} became {new}")
    )
    return _difference(name, "retyped", f"{name} was {before} and is {now}", f"{old} became {new}", f"{name}: {words}", 0.85)


def _difference(name: str, kind: Kind, what: str, cause: str, sentence: str, score: float) -> Difference:
    return Difference(column=name, kind=kind, what=what, hypotheses=(Hypothesis(cause=cause, sentence=sentence, score=score),))
