"""What the monitor finds out, what it asks for, and what is kept of a day."""

from datetime import date, datetime
from typing import ClassVar, Literal

from pydantic import Field

from ml.records.record import Record


class DriftFinding(Record):
    """One column, the scores, or the live quality."""

    stage = "monitor"
    kind: Literal["schema", "data", "prediction", "estimate", "hurting", "concept", "skew"]
    subject: str
    drifted: bool | None = Field(description="None: not assessable")
    value: float | None
    limit: float | None
    p_value: float | None
    sentence: str
    importance: float | None = Field(None, description="what the column is worth to the champion, metric units")
    smallest: float | None = Field(None, description="smallest shift that this many rows would have shown, units of `value`")
    since: date | None = Field(None, description="first day of the run of days on which it stood out")


class Action(Record):
    """Something that is due because of what the monitor saw; `why` names columns, never values of requests."""

    stage = "monitor"
    kind: Literal["retrain", "rollback", "label", "tell"]
    key: str = Field(description="of its row in the work table: the same again asks for nothing new")
    due: bool = Field(description="False: it was done already")
    why: str


class Monitored(Record):
    """What the requests of a window and their labels say about the champion; the newest lies in the store as `latest`."""

    stage = "monitor"
    latest: ClassVar[str] = "monitor/latest.json"
    start: datetime | None = Field(None, description="first moment of the requests looked at")
    end: datetime | None = Field(None, description="first moment after them")
    version: int | None
    num_requests: int
    num_labelled: int
    valid_version: int | None = Field(None, description="version of `valid` that the labels are from")
    verdicts: dict[str, Literal["drift", "no drift", "not assessable"]] = Field(description="per kind of finding")
    findings: tuple[DriftFinding, ...]
    retrain: bool = Field(description="a retrain is due and has been written to the work table")
    reason: str
    actions: tuple[Action, ...] = Field((), description="what is due, each with a row in the work table")

    @property
    def silent(self) -> "Monitored":
        """The same without its sentences, which quote values of requests."""
        findings = tuple(finding.model_copy(update={"sentence": ""}) for finding in self.findings)
        return self.model_copy(update={"findings": findings, "reason": ""})


class MonitoredDay(Record):
    """What the monitor said at the end of a day, without words, and the run whose folder holds them."""

    stage = "monitor_day"
    folder: ClassVar[str] = "monitor/days"
    day: date
    run_key: str
    said: Monitored
