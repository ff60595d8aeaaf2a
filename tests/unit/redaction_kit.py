"""Planted items in many spellings, and numbers that only look like one. Seeded; built without the code under test."""

import random
from collections.abc import Callable, Iterator

import phonenumbers
from stdnum import luhn
from stdnum.iso7064 import mod_97_10
from stdnum.us import itin, rtn, ssn

GAPS = ["-", " ", ".", "", "\u2011", "\u2013", "\u00a0", "\n", " - ", "\u2212", "\u2009"]
LEADS = ["{}", "({})", '"{}",', "it is {}.", "{};", "\n{}\n", "[{}]", "- {} -", "{}!", "see {}, please", "*{}*"]


def digits(pick: random.Random, size: int) -> str:
    return "".join(pick.choices("0123456789", k=size))


def until(make: Callable[[], str], holds: Callable[[str], bool]) -> str:
    while not holds(value := make()):
        pass
    return value


def american(pick: random.Random) -> str:
    def make() -> str:
        return f"{pick.randint(201, 989)}{pick.randint(200, 999)}{digits(pick, 4)}"

    return until(make, lambda number: phonenumbers.is_valid_number(phonenumbers.parse("+1" + number)))


def phone(pick: random.Random) -> str:
    if pick.random() < 0.15:
        region = pick.choice(["GB", "DE", "FR", "IN", "MX", "JP", "BR", "AU"])
        example = phonenumbers.example_number(region)
        assert example is not None
        form = pick.choice([phonenumbers.PhoneNumberFormat.INTERNATIONAL, phonenumbers.PhoneNumberFormat.E164])
        return phonenumbers.format_number(example, form).replace(" ", pick.choice([" ", "-", ".", "\u2011"]))
    number = american(pick)
    area, exchange, line = number[:3], number[3:6], number[6:]
    gap = pick.choice(GAPS)
    local = pick.choice(
        [
            gap.join([area, exchange, line]),
            f"({area}) {exchange}-{line}",
            f"({area}){exchange}-{line}",
            f"{area}/{exchange}-{line}",
            f"({area}) {exchange} {line}",
            f"{area} {exchange}{line}",
        ]
    )
    return pick.choice(["", "", "+1", "+1 ", "1-", "1 ", "+1-", "1."]) + local + pick.choice(["", "", "", " x123", " ext. 45"])


def in_groups(text: str, sizes: list[int], gap: str) -> str:
    parts, at = [], 0
    for size in sizes:
        parts.append(text[at : at + size])
        at += size
    return gap.join(parts)


def card(pick: random.Random) -> str:
    start, size, groups = pick.choice(
        [
            ("4", 16, [4] * 4),
            (str(pick.randint(51, 55)), 16, [4] * 4),
            (str(pick.choice([34, 37])), 15, [4, 6, 5]),
            ("6011", 16, [4] * 4),
            ("2" + str(pick.randint(300, 700)), 16, [4] * 4),
            ("36", 14, [4, 6, 4]),
        ]
    )
    body = start + digits(pick, size - 1 - len(start))
    return in_groups(body + luhn.calc_check_digit(body), groups, pick.choice(GAPS)) + pick.choice(
        ["", "", " exp 12/17", " 12/17"]
    )


def social(pick: random.Random) -> str:
    def american_ssn() -> str:
        return until(lambda: digits(pick, 9), ssn.is_valid)

    def taxpayer() -> str:
        return until(lambda: f"9{digits(pick, 2)}{pick.randint(70, 88)}{digits(pick, 4)}", itin.is_valid)

    number = american_ssn() if pick.random() < 0.8 else taxpayer()
    gap = pick.choice(GAPS)
    lead = pick.choice(["ssn ", "SSN: ", "my social security number is ", "social ", "Soc. Sec. # ", "tax id ", "SS# "])
    return (lead if not gap or pick.random() < 0.5 else "") + in_groups(number, [3, 2, 4], gap)


def account(pick: random.Random) -> str:
    lead = pick.choice(
        [
            "account ",
            "Account number: ",
            "acct # ",
            "acct. no. ",
            "a/c ",
            "checking account ",
            "account number is ",
            "Acct:",
            "loan # ",
        ]
    )
    size = pick.randint(8, 14)
    return lead + pick.choice([digits(pick, size), in_groups(digits(pick, 12), [4] * 3, pick.choice(["-", " ", "\u2011"]))])


def routing(pick: random.Random) -> str:
    number = until(lambda: pick.choice(["0", "1", "2", "3"]) + digits(pick, 8), rtn.is_valid)
    return pick.choice(["routing number ", "ABA: ", "routing # ", "bank routing no. ", "RTN "]) + number


def iban(pick: random.Random) -> str:
    country, size = pick.choice([("DE", 18), ("FR", 23), ("NL", 14), ("ES", 20), ("GB", 18), ("CH", 17)])
    body = (
        ("INGB" + digits(pick, 10)) if country == "NL" else ("WEST" + digits(pick, 14)) if country == "GB" else digits(pick, size)
    )
    text = country + mod_97_10.calc_check_digits(body + country) + body
    text = in_groups(text, [4] * 10, pick.choice([" ", "", "-", "\u00a0"])).rstrip(" -\u00a0")
    return pick.choice([text, text.lower(), "IBAN " + text, "IBAN:" + text])


def email(pick: random.Random) -> str:
    first, last = pick.choice(["john", "Maria", "wei", "o'neil", "josé"]), pick.choice(["smith", "Garcia", "li", "müller"])
    local = pick.choice(
        [f"{first}.{last}", f"{first}_{last}{pick.randint(1, 99)}", f"{first}+bank", f"{first[0]}{last}", f"{first}-{last}"]
    )
    domain = pick.choice(
        ["gmail.com", "yahoo.co.uk", "example.org", "mail.example.museum", "AOL.COM", "münchen.de", "my-isp.net"]
    )
    at = pick.choice(["@", "@", "@", "@", "@\n", " [at] ", "(at)", "\uff20"])
    return pick.choice(["", "", "mailto:", "e-mail:", "<"]) + local + at + domain


def address(pick: random.Random) -> str:
    return pick.choice(
        [
            ".".join(str(pick.randint(1, 254)) for _ in range(4)),
            "2001:db8:" + ":".join(f"{pick.randint(1, 65535):x}" for _ in range(6)),
        ]
    )


KINDS: dict[str, Callable[[random.Random], str]] = {
    "e-mail": email,
    "phone": phone,
    "card": card,
    "ssn": social,
    "account": account,
    "routing": routing,
    "iban": iban,
    "ip": address,
}


def planted(seed: int, each: int) -> Iterator[tuple[str, str]]:
    """Kind and item as it stands in a text, `each` of every kind."""
    pick = random.Random(seed)
    for kind, make in KINDS.items():
        for _ in range(each):
            yield kind, pick.choice(LEADS).format(make(pick))


def harmless(seed: int, each: int) -> Iterator[tuple[str, str]]:
    """Kind and text that holds nothing to hide."""
    pick = random.Random(seed)

    def bad_luhn() -> str:
        return until(lambda: "4" + digits(pick, 15), lambda number: not luhn.is_valid(number))

    kinds: dict[str, Callable[[], str]] = {
        "order number failing Luhn": lambda: pick.choice(["order ", "order #", "confirmation number: ", ""]) + bad_luhn(),
        "10-digit order number": lambda: (
            pick.choice(["order number ", "case # ", "tracking no. ", "invoice ", "claim: "]) + digits(pick, 10)
        ),
        "9-digit case number": lambda: pick.choice(["case ", "complaint ", "file # ", "number "]) + digits(pick, 9),
        "date": lambda: (
            pick.choice(
                ["{m:02}/{d:02}/{y}", "{y}-{m:02}-{d:02}", "{d:02}.{m:02}.{y}", "{m:02}-{d:02}-{y}", "{m}/{d}/{y}"]
            ).format(y=pick.randint(1990, 2017), m=pick.randint(1, 12), d=pick.randint(1, 28))
            + pick.choice(["", " 12:30:45", " 10:15"])
        ),
        "two dates": lambda: (
            f"from {pick.randint(2010, 2016)}-0{pick.randint(1, 9)}-1{pick.randint(0, 9)} 2016-12-2{pick.randint(0, 8)}"
        ),
        "amount": lambda: pick.choice(["${:,.2f}", "${:.2f}", "USD {:,.0f}", "{:,.2f} dollars", "${:.0f}"]).format(
            pick.uniform(1000, 9_999_999)
        ),
        "zip+4": lambda: f"{pick.choice(['NY', 'Springfield, IL', ''])} {digits(pick, 5)}-{digits(pick, 4)}",
        "complaint id": lambda: pick.choice(["complaint ", "id ", "", "ref "]) + str(pick.randint(1_000_000, 4_000_000)),
        "version": lambda: (
            pick.choice(["version ", "v", "release ", "firmware "]) + ".".join(str(pick.randint(0, 99)) for _ in range(4))
        ),
        "flight": lambda: (
            pick.choice(["UA", "B6", "DL ", "AA"]) + str(pick.randint(1, 6000)) + " N" + str(pick.randint(100, 999)) + "UA"
        ),
        "time span": lambda: f"{pick.randint(1, 12)}:30-{pick.randint(1, 12)}:45 on {pick.randint(1, 28)} May",
        "statute": lambda: (
            f"{pick.randint(10, 18)} U.S.C. 1681{pick.choice('abs')}-{pick.randint(1, 9)}(a)({pick.randint(1, 9)})(A)"
        ),
        "masked": lambda: f"XXXX XXXX XXXX {digits(pick, 4)} on XX/XX/{pick.randint(2010, 2017)}",
        "at a shop": lambda: f"bought @ {pick.choice(['the mall', 'Target', 'walmart'])} for ${digits(pick, 3)}",
        "counts": lambda: f"{pick.randint(100, 999)} calls, {pick.randint(10, 99)} letters, {pick.randint(1000, 9999)} days",
    }
    for kind, make in kinds.items():
        for _ in range(each):
            yield kind, pick.choice(LEADS).format(make())
