"""The sections about rows: where they come from, what they hold, when they are good enough, what is hidden, how long kept."""

import re
import zoneinfo
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from ml.problem.section import IDENTIFIER, Section

FeatureType = Literal["category", "number", "text", "boolean", "datetime", "zip"]
REDACTABLE = {  # which kinds of column a way to hide values fits
    "text": ("text", "category"),
    "hash": ("key", "text", "category", "zip"),
    "remove": ("text", "category", "zip", "boolean", "datetime"),
}


class Source(Section):
    """Where production rows come from."""

    kind: Literal["postgres", "s3", "files"] = Field("postgres", description="a table, objects of a bucket, or files")
    table: str | None = Field(
        None, pattern=r"^[a-z_][a-z0-9_]*(\.[a-z_][a-z0-9_]*)?$", description="postgres: table or schema.table; SELECT is enough"
    )
    pattern: str | None = Field(
        None,
        description="s3: s3://bucket/prefix/*.csv.gz; files: /folder/**/*.parquet; CSV, JSON lines, Parquet",
    )
    streams: int = Field(2, ge=1, le=16, description="postgres: connections that read a large window side by side")
    key: str = Field(pattern=IDENTIFIER, description="column that names a row")
    event_time: str = Field(pattern=IDENTIFIER, description="column with the moment the row is about; it decides the day")
    label: str | tuple[str, ...] = Field(
        description="column to predict, a list of columns for multilabel and vector_regression; null until it is known"
    )
    label_time: str = Field(pattern=IDENTIFIER, description="column with the moment the label became known")
    available_at: str | None = Field(None, pattern=IDENTIFIER, description="column with the moment the row became known")
    deleted: str | None = Field(
        None,
        pattern=IDENTIFIER,
        description="column that marks a row as deleted (true, or the moment): counted, left out",
    )
    updated_at: str | None = Field(
        None,
        pattern=IDENTIFIER,
        description="column that orders the versions of a row where a key occurs more than once; files: without it the last "
        "file in name order counts",
    )
    timezone: str = Field("UTC", description="IANA zone that days are cut in; times without an offset are local to it")
    history_days: int = Field(31, ge=1, description="how far back the first night reads, days")
    lookback_days: int = Field(3, ge=0, description="days before the new ones read again for late rows and labels")

    @property
    def labels(self) -> tuple[str, ...]:
        """The columns to predict."""
        return (self.label,) if isinstance(self.label, str) else self.label

    @property
    def place(self) -> str:
        """Where the rows are, for people: the table or the pattern."""
        return self.table or self.pattern or ""

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        needed, other = ("table", "pattern") if self.kind == "postgres" else ("pattern", "table")
        if getattr(self, needed) is None or getattr(self, other) is not None:
            raise ValueError(f"source: kind = {self.kind!r} needs {needed!r} and no {other!r}")
        start = {"s3": "s3://", "files": "/"}.get(self.kind, "")
        if not (self.pattern or "").startswith(start):
            raise ValueError(f"source.pattern: {self.pattern!r} must begin with {start!r}, because kind = {self.kind!r}")
        return self

    @field_validator("label")
    @classmethod
    def _label_named(cls, value: str | tuple[str, ...]) -> str | tuple[str, ...]:
        names = (value,) if isinstance(value, str) else value
        bad = [name for name in names if not re.match(IDENTIFIER, name)]
        if bad or not names or len(set(names)) < len(names):
            raise ValueError(
                f"source.label: {value!r} must name one column, or a list of different ones, in lower case, digits and _"
            )
        return value

    @field_validator("timezone")
    @classmethod
    def _zone_exists(cls, value: str) -> str:
        if value not in zoneinfo.available_timezones():
            raise ValueError(f"source.timezone: {value!r} is no IANA time zone; write one such as America/New_York")
        return value


class Feature(Section):
    """One input column."""

    type: FeatureType = Field(description="how the column is read and encoded")
    unit: str = Field("", description="what a number counts, such as mile or USD; recorded in the contract, shown on pages")
    vocabulary: int = Field(200, ge=1, description="category, zip, text: the most frequent values or words kept")
    prefix: int = Field(3, ge=1, description="zip: leading characters used")
    tokens: int = Field(100, ge=1, description="text: words read from the start")


class Limit(Section):
    """How far a day may be from the days before it."""

    warning: float | Literal["off"] = Field(description="beyond this it is shown, off: never")
    critical: float | Literal["off"] = Field("off", description="beyond this the night stops, off: never")


class History(Section):
    """What a new day is compared with, and how far it may be outside what was usual; what is short of history is not judged."""

    trailing_weeks: int = Field(6, ge=1, description="days before a day that it is compared with, in weeks")
    minimum_days: int = Field(14, ge=2, description="with fewer days of history nothing is judged")
    minimum_rows: int = Field(100, ge=1, description="a day with fewer rows is judged by their number only")
    row_count: Limit = Field(
        Limit(warning=0.4, critical=0.9),
        description="share of rows too few or too many against the median of that weekday: 0.5 is half as many or twice as many",
    )
    nulls: Limit = Field(Limit(warning=0.3), description="share of rows without a value beyond the usual range of a column")
    class_balance: Limit = Field(Limit(warning=0.25), description="share of positive labels beyond the usual range")
    new_categories: Limit = Field(Limit(warning=0.1), description="share of rows with values never seen before, beyond the usual")
    distribution: Limit = Field(
        Limit(warning=0.4), description="Jensen-Shannon distance (0 to 1) to the days before, beyond the usual"
    )
    freshness: Limit = Field(Limit(warning=48, critical=168), description="hours since the newest event, beyond the usual delay")
    duplicates: Limit = Field(
        Limit(warning=0.001, critical=0.05), description="share of ingested rows whose key or whole content another row has too"
    )


class Validation(Section):
    """When a batch is good enough to learn from; the rules themselves stand in the expectation suite."""

    max_quarantined_share: float = Field(0.05, ge=0, le=1, description="above this share of bad rows the night stops")
    allow_empty_days: bool = Field(False, description="whether a day without rows inside a window is normal")
    history: History = History()


class Contract(Section):
    """When data that differ from what was recorded at first stop a run before anything is written."""

    stop: bool = Field(True, description="false: differences are shown in the log and do not stop")
    ignore: tuple[str, ...] = Field((), description="columns that are not compared, such as a counter that only grows")
    minimum_rows: int = Field(500, ge=1, description="with fewer rows only names and types are compared, not values")


class Privacy(Section):
    """What must not leave the source, and who may ask to be forgotten."""

    subject: str | None = Field(None, pattern=IDENTIFIER, description="column that names a person; default: [source] key")
    redact: dict[str, Literal["text", "hash", "remove"]] = Field(
        {},
        description="per column, before it is stored: text hides e-mails, phones, cards, accounts, SSNs; hash keeps equal values "
        "equal; remove leaves nothing",
    )


class Retention(Section):
    """How long old things are kept."""

    versions_days: int = Field(
        30, ge=0, description="days an old table version stays; one that a registered model used stays longer"
    )
