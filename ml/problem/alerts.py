"""The section about what people are told: by which route, when, and by when a night must be over. It holds no secret."""

import re
from datetime import time
from typing import Literal, Self

from pydantic import Field, model_validator

from ml.problem.section import Section

Severity = Literal["info", "warning", "critical"]
SEVERITIES: tuple[Severity, ...] = ("info", "warning", "critical")  # rising
Kind = Literal[
    "retrain_failed",
    "promote_failed",
    "deploy_failed",
    "monitor_failed",
    "feedback_failed",
    "backtest_failed",
    "housekeeping_failed",
    "night_late",
    "drift",
    "retrain_asked",
    "retrain_refused",
    "labels_asked",
    "approval_waits",
    "promoted",
    "rolled_back",
]


class Alerts(Section):
    """Who is told what, and when; the addresses behind the routes stand in the file that EVERGREEN_ALERTS names."""

    routes: dict[Severity, tuple[str, ...]] = Field(
        {"critical": ("default",), "warning": ("default",)},
        description="names of routes for each severity; a severity without one is only listed (`python -m ml alerts list`)",
    )
    severities: dict[Kind, Severity] = Field(
        {}, description="how serious a kind of alert is, where that differs from docs/runbook.md"
    )
    quiet: str | None = Field(
        None,
        description="hours of the source's time zone in which only the most serious is sent, such as 22:00-07:00; the rest is "
        "sent afterwards",
    )
    quiet_below: Severity = Field("critical", description="in quiet hours, alerts less serious than this wait")
    deadline_hours: float = Field(
        6.0, gt=0, le=168, description="hours after [schedule] retrain by which the night must have come to an end"
    )

    @property
    def quiet_hours(self) -> tuple[time, time] | None:
        """Begin and end of the quiet hours, by the clock on the wall; they may cross midnight."""
        if self.quiet is None:
            return None
        begin, _, end = self.quiet.partition("-")
        return time.fromisoformat(begin), time.fromisoformat(end)

    @model_validator(mode="after")
    def _hours_are_hours(self) -> Self:
        hour = r"([01]\d|2[0-3]):[0-5]\d"
        if self.quiet is not None and not re.fullmatch(f"{hour}-{hour}", self.quiet):
            raise ValueError(f"alerts.quiet = {self.quiet!r}: write two times of day, for example 22:00-07:00")
        if self.quiet_hours and self.quiet_hours[0] == self.quiet_hours[1]:
            raise ValueError(
                f"alerts.quiet = {self.quiet!r} begins and ends at the same time; take the line out, or write a span"
            )
        return self
