"""What happened to a column of categories: another spelling, other codes, cut off, parts gone, or an identifier in its place."""

import html
import re
from collections.abc import Callable, Mapping

from ml.contract.record import Hypothesis
from ml.profile import ColumnProfile

NEW_SHARE = 0.05  # of rows with values never recorded, if a respelling explains them
GENERIC, OPEN = 0.2, 0.5  # whatever explains them; and in columns of more values than the record lists
EXPLAINED = 0.8  # share of new values that a respelling must lead back to recorded ones
GONE = 0.1  # share of rows that a value had before it went
PRESENT = 200
HEX = re.compile(r"^[0-9a-fA-F]{8,}$")
FLAGS = (("true", "false"), ("t", "f"), ("yes", "no"), ("y", "n"), ("1", "0"), ("j", "n"), ("on", "off"), ("1.0", "0.0"))


def respelled(name: str, recorded: ColumnProfile, now: ColumnProfile) -> list[Hypothesis]:
    """Every way in which the new values lead back to recorded ones, and what else new or lost values may mean."""
    if min(recorded.num_present, now.num_present) < PRESENT or not recorded.values:
        return []
    new = {value: count for value, count in now.values.items() if value not in recorded.values}
    if sum(new.values()) < NEW_SHARE * now.num_present:
        return []
    found = [*_back(name, recorded, now, new), *_flags(name, recorded, now), *_cut_off(name, recorded, new)]
    share = sum(new.values()) / now.num_present - _usual_news(recorded)
    if share >= NEW_SHARE:
        found += _renamed(name, recorded, now, new)
    if share >= (GENERIC if recorded.distinct <= len(recorded.values) else OPEN):
        found += [*_recoded(name, recorded, now, new), *_exploded(name, recorded, now, new), _new(name, share, new)]
    return found


def _usual_news(recorded: ColumnProfile) -> float:
    """Share of rows with values that are not in the record although nothing changed: rare ones that it does not list, and as
    many never met before as there are met once (Good 1953, Biometrika 40, 237-264).
    """
    unlisted = max(0.0, 1 - sum(recorded.values.values()) / recorded.num_present)
    return unlisted + sum(count == 1 for count in recorded.values.values()) / recorded.num_present


def _spellings(recorded: Mapping[str, int]) -> dict[str, Callable[[str], str | None]]:
    """Ways back from a new value, by cause."""
    folded, stripped = {value.casefold(): value for value in recorded}, {" ".join(value.split()): value for value in recorded}
    plain = {value.lstrip("0"): value for value in recorded}
    whole = {value.removesuffix(".0"): value for value in recorded}
    unmarked = {_plain(value): value for value in recorded}
    broken = {_mended(value): value for value in recorded}
    return {
        "other letter case": lambda value: folded.get(value.casefold()),
        "spaces around the values": lambda value: stripped.get(" ".join(value.split())),
        "quotes around the values": lambda value: value.strip("'\"") if value.strip("'\"") in recorded else None,
        "HTML signs in the text": lambda value: unmarked.get(_plain(value)) if "&" in value else None,
        "broken encoding": lambda value: broken.get(_mended(value)),
        "leading zeros": lambda value: plain.get(value.lstrip("0")),
        "whole numbers as decimals": lambda value: whole.get(value.removesuffix(".0")),
    }


def _plain(value: str) -> str:
    """Without HTML signs; a hard space is a space."""
    return " ".join(html.unescape(value).split())


def _mended(value: str) -> str:
    """UTF-8 that was read as Latin-1 or Windows-1252, read rightly."""
    for encoding in ("cp1252", "latin-1"):
        try:
            return value.encode(encoding).decode()
        except UnicodeError:
            continue
    return value


def _back(name: str, recorded: ColumnProfile, now: ColumnProfile, new: Mapping[str, int]) -> list[Hypothesis]:
    total, found = sum(new.values()), []
    spellings = _spellings(recorded.values)
    for cause, way in (spellings | _affixes(recorded.values, new)).items():
        pairs = [(value, back, count) for value, count in new.items() if (back := way(value)) is not None and back != value]
        led = sum(count for _, _, count in pairs)
        if led >= EXPLAINED * total or (cause in spellings and led >= NEW_SHARE * now.num_present):
            examples = ", ".join(f"{back!r} is now {value!r}" for value, back, _ in pairs[:2])
            found.append(Hypothesis(cause=cause, sentence=f"{name}: {cause}: {examples}", score=0.9 + 0.07 * led / total))
    return found


def _affixes(recorded: Mapping[str, int], new: Mapping[str, int]) -> dict[str, Callable[[str], str | None]]:
    """Something before or behind the value: the longest recorded value that the new one ends or begins with."""
    known = sorted(recorded, key=len, reverse=True)

    def ends(value: str) -> str | None:
        return next((one for one in known if one and value.endswith(one) and len(value) > len(one)), None)

    def begins(value: str) -> str | None:
        return next((one for one in known if one and value.startswith(one) and len(value) > len(one)), None)

    if len(new) < 2:  # one value alone was rather renamed
        return {}
    before = {value.removesuffix(end) for value in new if (end := ends(value))}
    behind = {value.removeprefix(start) for value in new if (start := begins(value))}
    shorter = {one.rpartition(sign)[2]: one for one in reversed(known) for sign in "-_:/." if sign in one}
    ways: dict[str, Callable[[str], str | None]] = {}
    if len(before) == 1:
        ways[f"prefix {next(iter(before))!r} added"] = ends
    if len(behind) == 1:
        ways[f"suffix {next(iter(behind))!r} added"] = begins
    elif len(behind) > 1:
        ways["something added behind each value"] = begins
    if all(value in shorter for value in new):
        ways["a prefix was removed"] = shorter.get
    return ways


def _flags(name: str, recorded: ColumnProfile, now: ColumnProfile) -> list[Hypothesis]:
    before, current = ({value.strip().lower() for value in one.values} for one in (recorded, now))
    for flags in FLAGS:
        for others in FLAGS:
            if flags != others and before and current and before <= set(flags) and current <= set(others):
                sentence = f"{name} is written as {'/'.join(sorted(now.values))} instead of {'/'.join(sorted(recorded.values))}"
                return [Hypothesis(cause="other words for yes and no", sentence=sentence, score=0.98)]
    return []


def _cut_off(name: str, recorded: ColumnProfile, new: Mapping[str, int]) -> list[Hypothesis]:
    """All new values have one length and are the beginnings of longer ones."""
    longer = [value for value in new if any(one.startswith(value) and len(one) > len(value) for one in recorded.values)]
    if sum(new[value] for value in longer) < EXPLAINED * sum(new.values()):
        return []
    size = max(len(value) for value in new)
    at_end = sum(count for value, count in new.items() if size - len(value) <= 1)  # a space at the cut may go
    same = at_end >= EXPLAINED * sum(new.values())
    sentence = f"{name} is cut off after {size} characters: {longer[0]!r} is the beginning of a recorded value"
    return [Hypothesis(cause="values cut off", sentence=sentence, score=0.95 if same else 0.6)]


def _recoded(name: str, recorded: ColumnProfile, now: ColumnProfile, new: Mapping[str, int]) -> list[Hypothesis]:
    """As many values with the same shares as before, under other names."""
    vanished = {value: count for value, count in recorded.values.items() if value not in now.values}
    before = sorted((count / recorded.num_present for count in vanished.values()), reverse=True)
    current = sorted((count / now.num_present for count in new.values()), reverse=True)
    size = max(len(before), len(current))
    if not before or len(current) > 2 * len(before) + 2:
        return []
    gap = sum(abs(a - b) for a, b in zip(_padded(before, size), _padded(current, size), strict=True)) / 2
    if gap > 0.2 * max(sum(before), sum(current)) + 0.05:
        return []
    most = max(vanished, key=vanished.__getitem__), max(new, key=new.__getitem__)
    told = f"{most[1]!r} is about as frequent as {most[0]!r} was; {len(new)} new values for {len(vanished)} that are gone"
    digits = all(re.fullmatch(r"-?\d+(\.0)?", value) for value in new)
    if digits and not all(re.fullmatch(r"-?\d+(\.0)?", value) for value in vanished):
        sentence = f"{name} holds numeric codes instead of names: {told}"
        return [Hypothesis(cause="numbers instead of names", sentence=sentence, score=0.9)]
    if all(HEX.match(value) for value in new):
        return [Hypothesis(cause="hashed", sentence=f"{name} is hashed now: {told}", score=0.9)]
    return [Hypothesis(cause="another code list", sentence=f"{name} has another code list: {told}", score=0.75)]


def _padded(shares: list[float], size: int) -> list[float]:
    return shares + [0.0] * (size - len(shares))


def _exploded(name: str, recorded: ColumnProfile, now: ColumnProfile, new: Mapping[str, int]) -> list[Hypothesis]:
    """Many times as many values as before."""
    if now.distinct < 3 * recorded.distinct or now.distinct < 30:
        return []
    example = max(new, key=new.__getitem__)
    sentence = (
        f"{name} has {now.distinct:,} different values in {now.num_rows:,} rows, {recorded.distinct:,} were recorded: "
        f"an identifier or free text is in the column, such as {example!r}"
    )
    return [Hypothesis(cause="an identifier or free text", sentence=sentence, score=0.8)]


def _new(name: str, share: float, new: Mapping[str, int]) -> Hypothesis:
    names = ", ".join(repr(value) for value in list(new)[:3])
    sentence = f"{name} has new values in {share:.0%} of rows: {names}{' and others' if len(new) > 3 else ''}"
    return Hypothesis(cause="new values", sentence=sentence, score=0.5)


def _renamed(name: str, recorded: ColumnProfile, now: ColumnProfile, new: Mapping[str, int]) -> list[Hypothesis]:
    """One value went, one of about its share came."""
    came = max(new, key=new.__getitem__)
    share, gone = new[came] / now.num_present, _vanished(recorded, now, NEW_SHARE)
    for value, before in gone.items():
        if share >= NEW_SHARE and 0.5 <= share / before <= 2:
            sentence = f"{name}: {value!r} is now called {came!r}: {before:.0%} of rows had the one, {share:.0%} have the other"
            score = 0.9 if len(new) == len(gone) == 1 else 0.7
            return [Hypothesis(cause="a value was renamed", sentence=sentence, score=score)]
    return []


def lost(name: str, recorded: ColumnProfile, now: ColumnProfile) -> list[Hypothesis]:
    """A frequent value that no row has any more."""
    gone = _vanished(recorded, now, GONE) if min(recorded.num_present, now.num_present) >= PRESENT else {}
    if not gone or now.distinct <= 1:
        return []
    value = max(gone, key=gone.__getitem__)
    had = f"which {gone[value]:.0%} of rows had"
    sentence = f"no row has {name} = {value!r}, {had}: part of the source was not loaded, or the value was retired"
    return [Hypothesis(cause="rows are missing", sentence=sentence, score=0.7)]


def _vanished(recorded: ColumnProfile, now: ColumnProfile, least: float) -> dict[str, float]:
    """Values with their recorded share that had at least `least` and have hardly a row now."""
    shares = {value: count / recorded.num_present for value, count in recorded.values.items()}
    return {v: share for v, share in shares.items() if share >= least and now.values.get(v, 0) / now.num_present < 0.02 * share}
