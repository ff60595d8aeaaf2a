"""Free text without what names a person: e-mail addresses, IBANs, IP addresses, and the numbers of `digits`."""

import ipaddress
import re
from collections.abc import Iterator

from ml.redaction.digits import DASHES, Span, find, merged

# What a text must hold to be looked at: an e-mail's @, an IPv6 address, or five digits close to each other. For RE2.
SUSPECT = r"[@\x{FF20}]|[\[(] ?(?i:at) ?[\])]|(?i:[0-9a-f]:[0-9a-f:]*:)|\p{Nd}(?:[^\p{Nd}]{0,3}\p{Nd}){4}"
AT = r"(?:\s?[@\uff20]\s?|\s?[\[(] ?[aA][tT] ?[\])]\s?)"
DOT = r"(?:\.|\s?[\[(] ?[dD][oO][tT] ?[\])]\s?)"
BRACKETED = re.compile(r"[\[(] ?[aA][tT] ?[\])]")
DOMAIN = re.compile(rf"{AT}(?:[^\W_](?:[\w-]{{0,62}}[^\W_])?{DOT}){{1,8}}(?:xn--[a-z0-9-]{{2,59}}|[^\W\d_]{{2,24}})(?![\w])")
LOCAL = re.compile(rf"[\w.%+'*/=?{DASHES}]{{1,64}}$")
PROVIDERS = re.compile(r"(?:gmail|googlemail|yahoo|hotmail|outlook|live|msn|aol|icloud|me|comcast|verizon|att|gmx|mail)\W", re.I)
IBAN = re.compile(rf"(?<![^\W_])[A-Za-z]{{2}}[\s{DASHES}]?\d{{2}}(?:[\s{DASHES}]?[A-Za-z0-9]){{11,36}}")
COUNTRIES = (  # that give IBANs; other pairs of letters are words, as in "in 2014"
    " AD AE AL AT AZ BA BE BG BH BI BR BY CH CR CY CZ DE DJ DK DO EE EG ES FI FK FO FR GB GE GI GL GR GT HN HR HU IE IL IQ IS IT"
    " JO KW KZ LB LC LI LT LU LV LY MC MD ME MK MN MR MT MU NI NL NO OM PK PL PS PT QA RO RS RU SA SC SD SE SI SK SM SO ST SV TL"
    " TN TR UA VA VG XK YE "
)
IPV4 = re.compile(r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?!\.?\d)")
IPV6 = re.compile(r"(?<![\w:])(?:[0-9a-fA-F]{0,4}:){2,7}(?:(?:\d{1,3}\.){3}\d{1,3}|[0-9a-fA-F]{1,4})(?![\w:])")
VERSION = re.compile(r"\bv\.?\s?$|\b(?:ver|version|release|build|firmware|section|sec)\W{0,3}$", re.I)


def scrub(text: str) -> str:
    """The text with a marker in the place of each item: [e-mail], [account], [ip], [card], [ssn], [phone]."""
    spans = merged([*_emails(text), *_ibans(text), *_addresses(text), *find(text)])
    if not spans:
        return text
    parts, last = [], 0
    for start, end, marker in spans:
        parts += [text[last:start], marker]
        last = end
    return "".join([*parts, text[last:]])


def _emails(text: str) -> Iterator[Span]:
    """From each @ outwards, so that a megabyte without one costs nothing."""
    if not ("@" in text or "\uff20" in text or BRACKETED.search(text)):
        return
    for match in DOMAIN.finditer(text):
        found = LOCAL.search(text[max(0, match.start() - 64) : match.start()])
        local = found.group().lstrip("'.*/=") if found else ""
        loose = re.match(r"\s[@\uff20]", match.group())  # "shopped @ store.com" is no address, "j.doe @ mail.com" is
        if local and (not loose or re.search(r"[\d._+-]", local) or PROVIDERS.search(match.group())):
            yield Span(match.start() - len(local), match.end(), "[e-mail]")


def _ibans(text: str) -> Iterator[Span]:
    place = 0
    while match := IBAN.search(text, place):
        country = text[match.start() : match.start() + 2].upper()
        end = _end_of_iban(text, match) if f" {country} " in COUNTRIES else None
        if end:
            yield Span(match.start(), end, "[account]")
        place = end or match.start() + 2  # a word before an IBAN must not hide it


def _end_of_iban(text: str, match: re.Match[str]) -> int | None:
    """Where the longest IBAN that begins with the match ends; what follows it may be words."""
    from stdnum import iban

    places = [place for place in range(match.start(), match.end()) if text[place].isalnum()]
    for length in range(min(len(places), 34), 14, -1):
        end = places[length - 1] + 1
        if end < len(text) and text[end].isalnum():
            continue
        number = "".join(text[place] for place in places[:length])
        if _remainder(number) == 1 and iban.is_valid(number, check_country=False):
            return end
    return None


def _remainder(number: str) -> int:
    """Of the division by 97, as ISO 7064 has it; much faster than the whole check, which only one number in 97 then needs."""
    turned = number[4:] + number[:4]
    return int("".join(str(int(sign, 36)) for sign in turned)) % 97 if turned.isascii() else 0


def _addresses(text: str) -> Iterator[Span]:
    for pattern, sign, fewest in ((IPV4, ".", 3), (IPV6, ":", 2)):
        for match in pattern.finditer(text) if text.count(sign) >= fewest else ():
            if not VERSION.search(text[max(0, match.start() - 12) : match.start()]) and _is_address(match.group()):
                yield Span(match.start(), match.end(), "[ip]")


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
