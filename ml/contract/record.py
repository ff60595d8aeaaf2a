"""What was agreed on about the source, and what differs from it: small, frozen, JSON."""

from datetime import date, datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from ml.profile import ColumnProfile, Profile

Kind = Literal[
    "added",
    "removed",
    "renamed",
    "retyped",
    "unit",
    "range",
    "constant",
    "clipped",
    "nulls",
    "values",
    "time",
    "swapped",
    "text",
    "label",
]


SETTLED = 7  # days: every weekday once, and some weather; what one day looked like is no measure for the next


class Frozen(BaseModel):
    """Frozen, and strict about names."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Hypothesis(Frozen):
    """One explanation of a difference."""

    cause: str = Field(description="in a few words, the same for the same cause: unit x1.609, clock shifted")
    sentence: str = Field(description="for people: what it is, and the evidence")
    score: float = Field(ge=0, le=1, description="how well it fits; the explanations of one difference are ranked by it")


Found = list[tuple[Kind, Hypothesis]]


class Difference(Frozen):
    """One column that is not as recorded."""

    column: str
    kind: Kind
    what: str = Field(description="the plain facts: before and now")
    hypotheses: tuple[Hypothesis, ...] = Field(min_length=1, description="the most likely first")


class Column(Frozen):
    """What was recorded of one column of the source; columns that nobody declared have a source type only."""

    source_type: str | None = Field(None, description="the source's own name of the type")
    declared: str | None = Field(None, description="type by the problem file; key for the key")
    unit: str = ""
    profile: ColumnProfile | None = None
    since: date | None = Field(None, description="first day of the newest accepted state; days before may look otherwise")


class Acceptance(Frozen):
    """A person said that differences are meant."""

    at: datetime
    who: str
    why: str
    run_key: str = Field(description="the run that met them")
    differences: tuple[Difference, ...]


class Contract(Frozen):
    """The state of the source that was recorded first, moved on by acceptances and by slow drift."""

    recorded_at: datetime
    run_key: str = Field(description="the run that recorded it")
    zone: str = Field("UTC", description="IANA zone of hours and days")
    event_time: str = ""
    label: str | tuple[str, ...] = ""
    label_time: str = ""
    through: date | None = Field(None, description="newest day that the profiles know")
    days: tuple[date, ...] = Field((), description="the first days that were recorded; values are compared once they are a week")
    columns: dict[str, Column]
    accepted: tuple[Acceptance, ...] = ()

    @property
    def late(self) -> set[str]:
        """The columns that become known after the rows: labels and their time."""
        return {self.label_time, *((self.label,) if isinstance(self.label, str) else self.label)}

    @property
    def young(self) -> bool:
        """Whether too few days are known to compare values with."""
        return len(self.days) < SETTLED

    @property
    def types(self) -> dict[str, str]:
        """The source's types, in the source's order."""
        return {name: column.source_type for name, column in self.columns.items() if column.source_type is not None}


class Batch(Profile):
    """A window's profile, and that of its newest days alone: a change that began last night is a small part of a window."""

    recent: Profile | None = None
    days: tuple[date, ...] = ()
    first_day: date | None = None
    recent_day: date | None = Field(None, description="first day of `recent`")
    last_day: date | None = None


class Pending(Frozen):
    """Differences that stopped a run, and the state to take over when they are accepted."""

    at: datetime
    run_key: str
    differences: tuple[Difference, ...]
    types: dict[str, str] = {}
    batch: Batch | None = None
