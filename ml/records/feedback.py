"""What became of what people and programs said."""

from typing import ClassVar

from pydantic import Field

from ml.records.record import Record


class Fed(Record):
    """Feedback joined with the answers and rows it is about; the newest lies in the store as `latest`."""

    stage = "feedback"
    latest: ClassVar[str] = "feedback/latest.json"
    num_joined: int = Field(description="labels that were found to belong to an answered row or a key, now")
    num_asked: int = Field(description="answers called wrong, now, without what is right: people are asked about them")
    num_waiting: int = Field(description="feedback whose request or key has not been seen yet")
    num_dropped: int = Field(description="feedback that waited in vain, dropped now")
    unmatched_share: float | None = Field(
        description="of the feedback of the last [feedback] wait_days: dropped, or waiting for more than a day; None: too little"
    )
    limit: float

    @property
    def holds(self) -> bool:
        """Whether no more than the limit is unmatched, as far as that can be said."""
        return self.unmatched_share is None or self.unmatched_share <= self.limit

    @property
    def sentence(self) -> str:
        """In one line."""
        share = "too little to say how much is unmatched"
        if self.unmatched_share is not None:
            share = f"{self.unmatched_share:.1%} unmatched, limit {self.limit:.1%}"
        asked = f"{self.num_asked} answers called wrong without what is right"
        return f"{self.num_joined} labels joined, {asked}, {self.num_waiting} wait, {self.num_dropped} dropped; {share}"


class Queued(Record):
    """Rows that people are asked about."""

    stage = "queue"
    version: int | None = Field(description="whose answers they are; None: there is no champion yet")
    num_candidates: int = Field(description="answered rows with a key and without a label")
    num_tasks: int
    num_audit: int = Field(description="of them, chosen by chance")
    asked: bool = Field(False, description="whether the monitor has too few labels, so that chance chooses all")
    why: dict[str, int] = Field({}, description="rows by the reason for which they were chosen")

    @property
    def sentence(self) -> str:
        """In one line."""
        why = ", ".join(f"{count} {reason}" for reason, count in self.why.items())
        told = f"{self.num_tasks} of {self.num_candidates} unlabelled rows are asked about" + (f": {why}" if why else "")
        return f"{told}; all by chance, because the monitor asks for labels" if self.asked else told
