"""What happened to a column of texts or keys: another form, broken signs, cut off, another case."""

import numpy as np

from ml.contract.record import Hypothesis
from ml.profile import GRID, ColumnProfile

PRESENT = 200
MARKED = {
    "html": ("HTML signs in the text", "holds HTML signs such as &amp;: it was escaped once too often", 0.03),
    "mojibake": ("broken encoding", "holds broken signs such as Ã©: UTF-8 was read as Latin-1", 0.01),
    "padded": ("spaces around the values", "has spaces before or behind the text", 0.3),
    "upper": ("all upper case", "is in capitals", 0.5),
    "lower": ("all lower case", "is in small letters", 0.5),
    "empty": ("nulls written as ''", "is an empty text where it was missing before", 0.1),
}
HASHES = (32, 40, 56, 64)


def explain(name: str, recorded: ColumnProfile, now: ColumnProfile) -> list[Hypothesis]:
    """All explanations: where values have a form, that it changed; of free text, its marks and its end."""
    if min(recorded.num_present, now.num_present) < PRESENT:
        return []
    return reformed(name, recorded, now) or [*marked(name, recorded, now), *cut_off(name, recorded, now)]


def marked(name: str, recorded: ColumnProfile, now: ColumnProfile) -> list[Hypothesis]:
    """Marks that far more texts carry than before."""
    found = []
    for mark, (cause, words, least) in MARKED.items():
        before, share = recorded.marks.get(mark, 0.0), now.marks.get(mark, 0.0)
        if share - before >= least and share >= 3 * before:
            sentence = f"{name} {words}: {share:.1%} of texts, {before:.1%} before"
            found.append(Hypothesis(cause=cause, sentence=sentence, score=0.95))
    return found


def reformed(name: str, recorded: ColumnProfile, now: ColumnProfile) -> list[Hypothesis]:
    """Forms that were never recorded, in at least half of the rows: a key is written in another way."""
    if sum(recorded.shapes.values()) < 0.8 * recorded.num_present:  # free text has no form
        return []
    known = sum(count for form, count in now.shapes.items() if form in recorded.shapes) / now.num_present
    if known >= 0.5:
        return _padded(name, recorded, now)
    if recorded.lengths and now.lengths and now.lengths[1] == now.lengths[-2] and now.lengths[1] in HASHES:
        sentence = f"{name} is hashed now: every value has {now.lengths[1]:.0f} characters"
        return [Hypothesis(cause="hashed", sentence=sentence, score=0.97)]
    before, form = next(iter(recorded.shapes)), next(iter(now.shapes), "")
    how = _how(before, form)
    sentence = (
        f"{name} is written in another form: {form or 'long text'!r} instead of {before!r} (9 digits, A and a letters){how}"
    )
    return [Hypothesis(cause="another form", sentence=sentence, score=0.9)]


def _padded(name: str, recorded: ColumnProfile, now: ColumnProfile) -> list[Hypothesis]:
    """The same form and other lengths: zeros in front came or went."""
    if not recorded.lengths or not now.lengths or set(recorded.shapes) != {"9"} or set(now.shapes) != {"9"}:
        return []
    middle = GRID.index(0.5)
    if abs(now.lengths[middle] - recorded.lengths[middle]) < 2:
        return []
    digits, usual = now.lengths[middle], recorded.lengths[middle]
    sentence = f"{name} has {digits:.0f} digits, {usual:.0f} before: zeros in front, or another numbering"
    return [Hypothesis(cause="leading zeros", sentence=sentence, score=0.7)]


def _how(before: str, form: str) -> str:
    if form.lower() == before.lower():
        return ": the letter case changed"
    if form.endswith(before):
        return ": something stands in front"
    if form.startswith(before):
        return ": something stands behind"
    if form and before.startswith(form):
        return ": the end is cut off"
    if "".join(filter(str.isalnum, form)) == "".join(filter(str.isalnum, before)):
        return ": the signs between the parts changed"
    return ""


def cut_off(name: str, recorded: ColumnProfile, now: ColumnProfile) -> list[Hypothesis]:
    """Many texts have exactly the greatest length, which longer ones had before."""
    if not recorded.lengths or not now.lengths:
        return []
    before, current = np.asarray(recorded.lengths), np.asarray(now.lengths)
    limit = current[-1]
    at_limit = float(np.mean(current[2:-2] >= limit - 1))
    longer = 1 - float(GRID[int(np.searchsorted(before, limit, side="right")) - 1]) if limit >= before[0] else 1.0
    if at_limit < 0.05 or longer < 0.05 or at_limit < 0.5 * longer or limit >= before[-1]:
        return []
    sentence = (
        f"{name} is cut off after {limit:.0f} characters: {at_limit:.0%} of texts end there, {longer:.0%} were longer before"
    )
    return [Hypothesis(cause="text cut off", sentence=sentence, score=0.93)]
