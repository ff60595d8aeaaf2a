"""What folds say of a network's settings, and what a search for better ones found."""

from typing import Any, Literal

from pydantic import Field

from ml.records.record import Record


class FoldScores(Record):
    """What a network of some settings reached when the folds of the protocol judged it."""

    stage = "train"
    metric: str
    scores: tuple[float, ...] = Field(description="one per fold")
    value: float = Field(description="their mean")
    deviation: float | None = Field(
        description="standard deviation over the folds; of one fold its standard error, whole days left out by turns"
    )
    left_out: tuple[float, ...] = Field((), description="of one fold: the score without each of its days")
    epochs: tuple[int, ...] = Field(description="best epoch per fold")
    history: dict[str, list[float]] = Field(description="losses per epoch of the newest fold: loss, val_loss")
    num_parameters: int


class Tuned(Record):
    """What a search found. `gain` and `noise` are those of the best trial over the settings that held before it."""

    stage = "tune"
    trials: int
    failed: int
    best: int = Field(description="number of the best trial; 0 are the settings that held before")
    kind: Literal["present", "ladder", "search"]
    values: dict[str, Any] = Field(description="settings of [training] that it changed")
    metric: str
    value: float
    present: float
    gain: float = Field(description="in the direction where more is better")
    noise: float | None = Field(description="standard error of the gain, from the folds; the best of many trials flatters itself")
    used: bool = Field(description="whether trainings use these settings from now on: the gain is larger than its noise")
    seconds: float

    @property
    def sentence(self) -> str:
        """The outcome in one line."""
        doubt = "unknown" if self.noise is None else f"{self.noise:.4f}"
        told = f"trial {self.best} of {self.trials} is best: {self.metric} {self.value:.4f}, gain {self.gain:+.4f}, noise {doubt}"
        return f"{told}; {'used from now on' if self.used else 'the present settings stay'}: {self.values}"
