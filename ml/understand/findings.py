"""What the report says in words: findings, and for each check whether it found something, nothing, or could not look."""

from collections.abc import Iterable
from datetime import date
from typing import Literal, NamedTuple

from pydantic import Field

from ml.records import Record

Severity = Literal["serious", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("serious", "warning", "note")
CHECKS = {
    "leakage": "columns that know the answer",
    "filled after the label": "columns filled only once the label is known",
    "constant": "columns without information",
    "labels": "labels that are late or cut off",
    "rate": "class balance over time",
    "duplicates": "the same rows in more than one part",
    "absent at serving": "columns that requests do not carry",
    "sampling bias": "rows learned from against rows served",
}


class Finding(Record):
    """One thing that a person should know: what was seen, why it matters, what to do, and the numbers behind it."""

    stage = "data"
    check: str = Field(description="one of CHECKS")
    severity: Severity
    subject: str = Field(description="the column it is about, or another short name")
    sentence: str
    matters: str
    todo: str
    numbers: dict[str, float | None] = Field({}, description="what the sentence rests on")


class Look(NamedTuple):
    """What one check came to: findings, or why it could not be made, or what was looked at in vain."""

    check: str
    findings: tuple[Finding, ...] = ()
    unknown: str = ""
    clean: str = ""


class Check(Record):
    """One check of the report."""

    stage = "data"
    name: str
    about: str
    outcome: Literal["found", "nothing found", "not assessable"]
    detail: str


class Reported(Record):
    """What a data report found; the page is `data.html` beside it."""

    stage = "data"
    start: date | None = Field(description="first day of the newest rows, those shown beside the ones before")
    end: date | None = Field(description="first day after them")
    version: int | None = Field(description="version of the Delta table `valid`; None when there is none")
    num_rows: int = Field(description="rows looked at for balance and labels; the rest of the page rests on a sample of them")
    num_sampled: int
    findings: tuple[Finding, ...]
    checks: tuple[Check, ...]

    @property
    def sentence(self) -> str:
        """The report in one line, for the log."""
        counts = [f"{sum(f.severity == severity for f in self.findings)} {severity}" for severity in SEVERITIES]
        first = f"; {self.findings[0].sentence}" if self.findings else ""
        return f"{self.num_rows:,} rows: {', '.join(counts)}{first}"


def ordered(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The worst first; within a severity as the checks are listed."""
    places = {name: place for place, name in enumerate(CHECKS)}
    return tuple(sorted(findings, key=lambda found: (SEVERITIES.index(found.severity), places[found.check])))


def checks(looks: Iterable[Look]) -> tuple[Check, ...]:
    """One line per check, in the order of CHECKS; a check that nobody made is left out."""
    made = {look.check: look for look in looks}
    return tuple(_check(made[name]) for name in CHECKS if name in made)


def _check(look: Look) -> Check:
    about = CHECKS[look.check]
    if look.findings:
        subjects = ", ".join(dict.fromkeys(found.subject for found in look.findings))
        return Check(name=look.check, about=about, outcome="found", detail=subjects)
    if look.unknown:
        return Check(name=look.check, about=about, outcome="not assessable", detail=look.unknown)
    return Check(name=look.check, about=about, outcome="nothing found", detail=look.clean)
