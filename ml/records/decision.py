"""Whether a night trains."""

from datetime import date
from typing import Literal

from pydantic import Field

from ml.records.record import Record


class Compared(Record):
    """A window that a training could learn from, beside the others."""

    stage = "decide"
    memory: str
    start: date = Field(description="its first day")
    better: float = Field(description="how much better a simple model of it is than one of the first window, metric units")
    error: float | None = Field(description="standard error of that; None: unknown")
    gain: float | None = Field(description="how much better than one of the champion's own rows; None: unknown")
    share: float = Field(description="the same as a share of the remaining error")
    p_value: float = Field(description="of a gain as high as this where there is none")


class Decided(Record):
    """Whether this run trains, from which days, and why."""

    stage = "decide"
    train: bool
    rule: str = Field(description="which rule of the policy said so, in a word")
    policy: Literal["never", "nightly", "weekly", "drift", "performance", "evergreen"]
    why: str
    memory: str | None = Field(None, description="sliding, expanding, break; None: as [split] train_days says")
    start: date | None = Field(None, description="first day to learn from; None: as [split] train_days says")
    num_new: int = Field(0, description="labelled rows that were new since the last training or look")
    minutes_spent: float = Field(0.0, description="of training in the 30 days before")
    compared: tuple[Compared, ...] = Field((), description="the windows that were held against each other")
    looked_until: date | None = Field(None, description="newest labelled day when it was looked whether new rows help")
    seconds: float = Field(0.0, description="that deciding took")

    @property
    def sentence(self) -> str:
        """In one line."""
        how = f", from {self.start} on ({self.memory})" if self.train and self.start else ""
        return f"{'train' if self.train else 'skip'}: {self.why}{how}"
