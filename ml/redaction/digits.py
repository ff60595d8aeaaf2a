"""Numbers in free text that name a person or an account: cards, SSNs, account and routing numbers, phones.

A run is digits with little between them; its groups are what stands between the gaps. An item is one or more whole groups, so
`4111 1111 1111 1111 12/17` holds a card and a date. Checksums decide where there are any, the shape where it says enough
(555-123-4567), and the words before a bare number where neither does.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

DASHES = "\\-\u2010-\u2015\u2212\ufe58\ufe63\uff0d"
GAP = rf"[\s./_(){DASHES}\u00ad\u200b-\u200d\u2060\ufeff]{{0,3}}"  # soft hyphens and spaces of no width, too
RUN = re.compile(rf"\d(?:{GAP}\d){{4,199}}")
GROUP = re.compile(r"\d+")
EXTENSION = re.compile(r"\s{0,2}(?:x|ext\.?|extension)\s{0,2}\d{1,6}\b", re.IGNORECASE)
FILLER = r"(?:\W|\b(?:numbers?|num|nos?|nbr|nr|id|is|was|are|the|it|of|with)\b){0,10}$"
ACCOUNT = re.compile(rf"(?:\b(?:accounts?|accts?|acc|checking|savings|loan)|\ba/c){FILLER}", re.IGNORECASE)
BANK = re.compile(r"\b(?:routing|aba|rtn|transit|wire|bank)\b", re.IGNORECASE)
SOCIAL = re.compile(r"\b(?:ssn?|social|soc|itin|tin|tax(?:payer)?)\b|s\.s\.", re.IGNORECASE)
PHONE = re.compile(r"\b(?:phone|tel|telephone|call(?:ed|ing)?|cell|mobile|fax|text(?:ed)?|dial(?:ed)?|reach|at)\b", re.IGNORECASE)
OTHER = re.compile(
    r"\b(?:order|confirmation|tracking|case|ref(?:erence)?|ticket|claim|invoice|complaint|id|transaction|serial|model|receipt"
    rf"|po|file|docket|check|item|sku|isbn|upc){FILLER}",
    re.IGNORECASE,
)
AMERICAN = re.compile(r"1?[2-9]\d\d[2-9]\d{6}")
PHONE_SHAPES = {(3, 3, 4), (3, 7), (6, 4)}
CARD_SHAPES = {(4, 4, 4, 4), (4, 6, 5), (4, 6, 4), (4, 4, 4, 4, 3), (4, 4, 5)}
CARD_STARTS = re.compile(r"4|5[1-5]|2[2-7]|3[0-9]|6[0-9]|50|5[6-8]")


class Span(NamedTuple):
    """Where an item stands in the text, and the marker that takes its place."""

    start: int
    end: int
    marker: str


@dataclass(frozen=True)
class Item:
    """Consecutive groups of a run that are looked at as one number; `whole` when they are all of the run that is free."""

    text: str
    start: int
    end: int
    digits: str
    shape: tuple[int, ...]
    whole: bool

    def before(self, length: int) -> str:
        """The text that leads to the number."""
        return self.text[max(0, self.start - length) : self.start]

    def after(self, length: int) -> str:
        """The text that follows it."""
        return self.text[self.end : self.end + length]


def find(text: str) -> list[Span]:
    """Items in the runs of a text."""
    found: list[Span] = []
    for run in RUN.finditer(text):
        start = run.start()
        if start and (text[start - 1] in "$€£_" or text[start - 1].isalpha()) and not _word_before(text, start):
            continue
        for part in _without_dates([(g.start() + start, g.end() + start) for g in GROUP.finditer(run.group())], text):
            found += _items(text, part)
    return found


def _word_before(text: str, start: int) -> bool:
    """Whether a number glued to letters (cell5551234567) is glued to a word that announces it."""
    before = text[max(0, start - 12) : start]
    return bool(re.search(r"(?:phone|tel|cell|fax|ssn|acct|account|card|visa|amex|iban|call|at)$", before, re.IGNORECASE))


def _without_dates(groups: list[tuple[int, int]], text: str) -> Iterator[list[tuple[int, int]]]:
    """The groups of a run, cut where three of them are a date such as 2015-03-12 or 03.12.2015."""
    part: list[tuple[int, int]] = []
    index = 0
    while index < len(groups):
        if _is_date(text, groups[index : index + 3]):
            yield part
            part, index = [], index + 3
        else:
            part, index = [*part, groups[index]], index + 1
    yield part


def _is_date(text: str, groups: list[tuple[int, int]]) -> bool:
    """Whether three groups with equal gaps are year, month, day or month and day in either order, year."""
    parts = [text[a:b] for a, b in groups]
    shape = [len(part) for part in parts]
    if len(shape) != 3 or text[groups[0][1] : groups[1][0]] != text[groups[1][1] : groups[2][0]]:
        return False
    if shape[0] == 4:
        parts = [*parts[1:], parts[0]]
    if max(len(parts[0]), len(parts[1])) > 2 or len(parts[2]) != 4:
        return False
    first, second, year = (int(part) for part in parts)
    return 1 <= min(first, second) <= 12 and max(first, second) <= 31 and 1900 <= year < 2100


def _items(text: str, groups: list[tuple[int, int]]) -> list[Span]:
    """Items of one run, kind by kind: what has a checksum first, longest first."""
    if len(groups) > MOST_GROUPS and max(b - a for a, b in groups) <= 2:
        return []
    found: list[Span] = []
    parts = [groups]
    for marker, test, fewest, most in KINDS:
        rest: list[list[tuple[int, int]]] = []
        for part in parts:
            left = part
            while left and (hit := _first(text, left, test, (fewest, most))):
                first, last = hit
                found.append(_span(text, left[first][0], left[last][1], marker))
                rest.append(left[:first])
                left = left[last + 1 :]
            rest.append(left)
        parts = [part for part in rest if part]
    return found


def _first(
    text: str, groups: list[tuple[int, int]], test: Callable[[Item], bool], sizes: tuple[int, int]
) -> tuple[int, int] | None:
    """First and last group of the leftmost, longest item that passes the test."""
    lengths = [b - a for a, b in groups]
    for first in range(len(groups)):
        last, total = first, lengths[first]
        while last + 1 < len(groups) and total + lengths[last + 1] <= sizes[1]:
            last += 1
            total += lengths[last]
        while last >= first and total >= sizes[0]:
            some = last - first < USUAL_GROUPS or last - first + 1 == len(groups)
            if some and total <= sizes[1] and test(_item(text, groups, first, last)):
                return first, last
            total -= lengths[last]
            last -= 1
    return None


def _item(text: str, groups: list[tuple[int, int]], first: int, last: int) -> Item:
    inside = groups[first : last + 1]
    digits = "".join(str(int(d)) for a, b in inside for d in text[a:b])  # full-width and other digits become ASCII
    whole = first == 0 and last == len(groups) - 1
    return Item(text, inside[0][0], inside[-1][1], digits, tuple(b - a for a, b in inside), whole)


def _span(text: str, start: int, end: int, marker: str) -> Span:
    if marker == "[phone]":
        if extension := EXTENSION.match(text, end):
            end = extension.end()
        before = text[max(0, start - 2) : start]
        if before.endswith("(") and ")" in text[start:end]:
            start, before = start - 1, before[:-1]
        if before.endswith("+"):
            start -= 1
    return Span(start, end, marker)


def _is_card(item: Item) -> bool:
    from stdnum import luhn

    plausible = item.whole or len(item.shape) == 1 or item.shape in CARD_SHAPES
    return plausible and bool(CARD_STARTS.match(item.digits)) and len(set(item.digits)) > 1 and luhn.is_valid(item.digits)


def _is_ssn(item: Item) -> bool:
    from stdnum.us import itin, ssn

    if item.shape != (3, 2, 4) and not (
        (item.shape == (9,) or (item.whole and len(item.shape) > 2))
        and (SOCIAL.search(item.before(50)) or SOCIAL.search(item.after(25)))
    ):
        return False
    return bool(ssn.is_valid(item.digits) or itin.is_valid(item.digits))


def _is_account(item: Item) -> bool:
    return bool(item.whole and ACCOUNT.search(item.before(45)))


def _is_routing(item: Item) -> bool:
    from stdnum.us import rtn

    if len(item.shape) > 1 and not item.whole:
        return False
    near = BANK.search(item.before(60)) or BANK.search(item.after(25)) or ACCOUNT.search(item.before(45))
    return bool(near) and bool(rtn.is_valid(item.digits))


def _is_phone(item: Item) -> bool:
    """By its country code, or by a shape that hardly anything else has."""
    plus = item.before(2).rstrip("(").endswith("+")
    if plus or item.digits.startswith(("00", "011")):
        digits = item.digits if plus else item.digits.removeprefix("011").removeprefix("00")
        return _valid(f"+{digits}") or bool(len(digits) == 11 and AMERICAN.fullmatch(digits))
    if AMERICAN.fullmatch(item.digits):
        local = item.shape[1:] if item.shape[0] == 1 else item.shape
        return local in PHONE_SHAPES or (item.shape[0] == 1 and local == (10,))
    return item.shape == (3, 4) and item.digits[0] in "23456789" and item.whole and bool(PHONE.search(item.before(30)))


def _is_bare_phone(item: Item) -> bool:
    """By its area code alone, unless the words before say that it numbers something else."""
    alone = item.whole or len(item.shape) == 1
    american = alone and AMERICAN.fullmatch(item.digits)
    return bool(american) and not OTHER.search(item.before(40)) and _valid("+1" + item.digits[-10:])


def _valid(number: str) -> bool:
    import phonenumbers

    try:
        return bool(phonenumbers.is_valid_number(phonenumbers.parse(number)))
    except phonenumbers.NumberParseException:
        return False


USUAL_GROUPS = 5  # an item of more is all of its run
MOST_GROUPS = 25  # more groups of one or two digits are a list of small numbers, not one number spelt out
KINDS: tuple[tuple[str, Callable[[Item], bool], int, int], ...] = (  # marker, test, fewest and most digits
    ("[card]", _is_card, 13, 19),
    ("[ssn]", _is_ssn, 9, 9),
    ("[account]", _is_routing, 9, 9),
    ("[phone]", _is_phone, 7, 15),
    ("[account]", _is_account, 6, 17),
    ("[phone]", _is_bare_phone, 10, 11),
)


def merged(spans: list[Span]) -> list[Span]:
    """Spans in order, each overlap given to the one that begins first, or is longer."""
    kept: list[Span] = []
    for span in sorted(spans, key=lambda span: (span.start, -span.end)):
        if not kept or span.start >= kept[-1].end:
            kept.append(span)
    return kept
