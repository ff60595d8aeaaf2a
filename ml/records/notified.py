"""What the newest sweep of the alerts found, for Prometheus."""

from datetime import datetime
from typing import ClassVar

from pydantic import Field

from ml.records.record import Record


class Swept(Record):
    """One look at what people are to be told about a problem; the newest lies in the store as `latest`."""

    stage = "alerts"
    latest: ClassVar[str] = "alerts/latest.json"
    at: datetime
    night_ended: datetime | None = Field(None, description="when a night came to an end last")
    night_late: bool = Field(False, description="a night should be over and is not")
    num_sent: int = Field(0, description="messages that went out now")
    num_held: int = Field(0, description="alerts that wait for the end of quiet hours or of a snooze")
    num_waiting: int = Field(0, description="alerts that should be sent and could not be")
    failed: dict[str, str] = Field({}, description="by route, why it took no message")

    @property
    def sentence(self) -> str:
        """In one line."""
        late = "; a night is late" if self.night_late else ""
        return f"{self.num_sent} messages sent, {self.num_held} alerts held, {self.num_waiting} wait{late}"
