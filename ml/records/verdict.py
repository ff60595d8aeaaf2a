"""What the gate decides."""

from typing import Literal

from pydantic import Field

from ml.records.record import Record


class Rule(Record):
    """One rule of the gate."""

    stage = "gate"
    rule: str
    value: float | None
    limit: float | None
    holds: bool
    sentence: str


class Verdict(Record):
    """May the candidate replace the champion, and why."""

    stage = "gate"
    decision: Literal["promote", "reject", "not assessable"]
    rules: tuple[Rule, ...]
    champion_version: int | None = Field(description="the champion it was compared with; promotion demands that it still is")
    dry_run: bool
    spent: float = Field(0.0, description="chance of promoting an equal model that this verdict took: the level of its test")

    @property
    def sentence(self) -> str:
        """The verdict in one line."""
        broken = [rule.sentence for rule in self.rules if not rule.holds]
        return f"{self.decision}: " + ("; ".join(broken) if broken else "every rule holds")
