"""Simple patterns of codes, from the forms of their values: `9999-99-99 AA9 AAA` and the like."""

import re
from collections.abc import Collection
from itertools import groupby

LONGEST = 40  # characters of a code
ALTERNATIVES = 2
SPECIAL = re.compile(r"[.^$*+?()\[\]{}|\\]")
# each step knows fewer classes of characters than the one before
STEPS = (
    {"9": r"\d", "A": "[A-Z]", "a": "[a-z]"},
    {"9": "[A-Z0-9]", "A": "[A-Z0-9]", "a": "[a-z]"},
    dict.fromkeys("9Aa", "[A-Za-z0-9]"),
)


def regex(forms: Collection[str]) -> str | None:
    """A pattern that all values with these forms match, None when they have no simple one in common.

    Runs of one class of characters may be as long as seen; other characters stand for themselves.
    """
    if not forms or "" in forms or max(map(len, forms)) > LONGEST:
        return None
    for classes in STEPS:
        found = _merged(forms, classes)
        if len(found) <= ALTERNATIVES:
            patterns = sorted("".join(f"{name}{_times(*sizes)}" for name, sizes in one) for one in found)
            return f"^{patterns[0]}$" if len(patterns) == 1 else f"^(?:{'|'.join(patterns)})$"
    return None


def _merged(forms: Collection[str], classes: dict[str, str]) -> list[list[tuple[str, tuple[int, int]]]]:
    """Sequences of classes with the least and greatest length of each run."""
    found: dict[tuple[str, ...], list[tuple[int, int]]] = {}
    for form in forms:
        runs = [
            (name, len(list(run)))
            for name, run in groupby(classes.get(letter, SPECIAL.sub(r"\\\g<0>", letter)) for letter in form)
        ]
        names, sizes = tuple(name for name, _ in runs), [(size, size) for _, size in runs]
        held = found.get(names, sizes)
        found[names] = [(min(one[0], two[0]), max(one[1], two[1])) for one, two in zip(held, sizes, strict=True)]
    return [list(zip(names, sizes, strict=True)) for names, sizes in found.items()]


def _times(least: int, most: int) -> str:
    if least == most:
        return "" if least == 1 else f"{{{least}}}"
    return f"{{{least},{most}}}"
